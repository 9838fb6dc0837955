use crate::master::Master;

impl Master {
    /// What holds between steps. Debug builds check it after every one; its cost grows with the
    /// cluster.
    pub(crate) fn check_invariants(&self) {
        if !cfg!(debug_assertions) {
            return;
        }
        for (id, offer) in &self.state.offers {
            let agent = self.state.agents.get(&offer.agent_id);
            let framework = self.state.frameworks.get(&offer.framework_id);
            debug_assert!(
                agent.is_some_and(|a| a.active && a.offers.contains(id)),
                "offer {id} is in the books of its agent, which is active"
            );
            debug_assert!(
                framework.is_some_and(|f| f.connected() && f.offers.contains(id)),
                "offer {id} is in the books of its framework, which is connected"
            );
            debug_assert!(self.offered.contains_key(id), "offer {id} has resources");
        }
        debug_assert_eq!(self.offered.len(), self.state.offers.len());
        #[cfg(test)]
        self.check_sums();
        for (id, agent) in &self.state.agents {
            for (framework, task) in &agent.tasks {
                let task = self.task(framework, task);
                debug_assert!(
                    task.is_some_and(|task| task.agent_id == *id),
                    "tasks of agent {id} are in the books of their frameworks"
                );
            }
            for (framework, used) in &agent.used {
                let framework = self.framework(framework);
                debug_assert!(
                    framework.is_none_or(|it| it.used.get(id) == Some(used)),
                    "what is used on agent {id} is in the books of frameworks alike"
                );
            }
            debug_assert_eq!(
                agent.active,
                agent.connected && !self.state.deactivations.contains_key(id),
                "agent {id} is offered exactly while it is there and in service"
            );
        }
        for (id, framework) in &self.state.frameworks {
            for (operation, agent) in &framework.operations {
                debug_assert!(
                    self.state
                        .agents
                        .get(agent)
                        .is_some_and(|agent| agent.operations.contains_key(operation)),
                    "operations of framework {id} are in the books of their agents"
                );
            }
            for task in framework.tasks.values() {
                let key = (id.clone(), task.task_id.clone());
                let agent = self.state.agents.get(&task.agent_id);
                debug_assert!(
                    agent.is_some_and(|agent| agent.tasks.contains(&key)),
                    "tasks of framework {id} are in the books of their agents"
                );
            }
        }
    }

    /// What is kept in sum is what is to be added up.
    #[cfg(test)]
    fn check_sums(&self) {
        use std::collections::BTreeSet;

        use meseta_resources::Quantities;

        let agents = &self.state.agents;
        for (role, consumed) in crate::http::Roles::new(&self.state).consumed() {
            assert_eq!(self.consumption.of(role, agents), consumed, "{role}");
        }
        let mut capacity = Quantities::new();
        for agent in agents.values() {
            capacity += &agent.total.non_revocable().quantities();
        }
        assert_eq!(*self.consumption.capacity(), capacity);
        for (id, agent) in agents {
            let machine = self.by_machine.get(&crate::maintenance::machine_of(agent));
            assert!(machine.is_some_and(|agents| agents.contains(id)), "{id}");
        }
        let of_machines: usize = self.by_machine.values().map(BTreeSet::len).sum();
        assert_eq!(of_machines, agents.len());
        let mut guarantees = Quantities::new();
        for quota in self.state.quotas.values() {
            guarantees += &quota.guarantees;
        }
        assert_eq!(self.guarantees, guarantees);
    }
}
