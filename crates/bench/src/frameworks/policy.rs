//! What a framework does with offers.

use meseta_proto::v1::{CommandInfo, Offer, Resource, TaskInfo, value};

/// What a framework does with offers.
#[derive(Debug, Clone)]
pub(crate) enum Policy {
    /// Declines them all, for so many seconds.
    Decline { seconds: f64 },
    /// Keeps them all and does nothing.
    Hold,
    /// Launches tasks.
    Launch(Work),
    /// Declines all but every so manieth, on which it launches.
    Mixed {
        every: u64,
        seconds: f64,
        work: Work,
    },
}

/// Tasks to be launched.
#[derive(Debug, Clone)]
pub(crate) struct Work {
    /// How many are left.
    pub(crate) remaining: usize,
    /// How many may be under way at a time.
    pub(crate) at_once: usize,
    /// How many may go into one ACCEPT.
    pub(crate) per_offer: usize,
    pub(crate) cpus: f64,
    pub(crate) mem: f64,
    /// Whether each task takes all of what its offer holds.
    pub(crate) whole: bool,
    pub(crate) command: Command,
}

/// What a task runs where agents are real.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Command {
    /// Ends at once.
    True,
    /// Stays until it is killed.
    Sleep,
}

impl Work {
    /// So many small tasks.
    pub(crate) fn of(remaining: usize) -> Self {
        Self {
            remaining,
            at_once: usize::MAX,
            per_offer: usize::MAX,
            cpus: 0.1,
            mem: 32.0,
            whole: false,
            command: Command::True,
        }
    }

    /// How many of these tasks an offer has room for.
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the quotient of two positive amounts; `as` saturates"
    )]
    pub(super) fn fits(&self, offer: &Offer) -> usize {
        let [cpus, mem] = ["cpus", "mem"].map(|name| free(offer, name));
        if self.whole {
            return usize::from(cpus >= self.cpus && mem >= self.mem);
        }
        // Amounts are in thousandths on the wire, and must not round to one task too many.
        let times =
            |has: f64, needs: f64| (has * 1000.0).round() / (needs * 1000.0).round().max(1.0);
        times(cpus, self.cpus).min(times(mem, self.mem)) as usize
    }

    pub(super) fn task(&self, offer: &Offer, id: &str) -> TaskInfo {
        let resources = if self.whole {
            unreserved(offer).cloned().collect()
        } else {
            vec![
                scalar(offer, "cpus", self.cpus),
                scalar(offer, "mem", self.mem),
            ]
        };
        TaskInfo {
            name: id.to_owned(),
            task_id: id.into(),
            agent_id: offer.agent_id.clone(),
            resources,
            command: Some(self.command.info()),
            ..TaskInfo::default()
        }
    }
}

impl Command {
    fn info(self) -> CommandInfo {
        let value = match self {
            Self::True => "true",
            Self::Sleep => "sleep 100000",
        };
        CommandInfo {
            shell: Some(true),
            value: Some(value.to_owned()),
            ..CommandInfo::default()
        }
    }
}

fn unreserved(offer: &Offer) -> impl Iterator<Item = &Resource> {
    // Frameworks here know of refined reservations, so that offers have no reservation in older forms.
    let is_plain =
        |resource: &&Resource| resource.reservations.is_empty() && resource.revocable.is_none();
    offer.resources.iter().filter(is_plain)
}

fn free(offer: &Offer, name: &str) -> f64 {
    unreserved(offer)
        .filter(|resource| resource.name == name)
        .filter_map(|resource| resource.scalar.as_ref())
        .map(|scalar| scalar.value)
        .sum()
}

fn scalar(offer: &Offer, name: &str, value: f64) -> Resource {
    Resource {
        name: name.to_owned(),
        r#type: value::Type::Scalar.into(),
        scalar: Some(value::Scalar { value }),
        allocation_info: offer.allocation_info.clone().or_else(|| {
            let held = offer.resources.first()?;
            held.allocation_info.clone()
        }),
        ..Resource::default()
    }
}

/// All cpus of an offer, whomever they are reserved for.
pub(crate) fn cpus(offer: &Offer) -> f64 {
    offer
        .resources
        .iter()
        .filter(|resource| resource.name == "cpus")
        .filter_map(|resource| resource.scalar.as_ref())
        .map(|scalar| scalar.value)
        .sum()
}

#[cfg(test)]
mod tests {
    use meseta_resources::Resources;

    use super::*;

    fn offer(resources: &str) -> Offer {
        Offer {
            resources: Resources::parse(resources, "*")
                .unwrap()
                .allocate("r")
                .to_v1(),
            ..Offer::default()
        }
    }

    #[test]
    fn as_many_tasks_fit_as_amounts_allow_and_none_more_by_rounding() {
        let work = Work::of(100);
        assert_eq!(work.fits(&offer("cpus:0.3;mem:1000")), 3);
        assert_eq!(work.fits(&offer("cpus:7;mem:64")), 2);
        assert_eq!(work.fits(&offer("cpus:7")), 0);
        assert_eq!(work.fits(&offer("cpus(other):7;mem(other):1000")), 0);
    }

    #[test]
    fn a_task_takes_what_is_allocated_to_its_role() {
        let offer = offer("cpus:1;mem:64");
        for work in [
            Work::of(1),
            Work {
                whole: true,
                ..Work::of(1)
            },
        ] {
            let task = work.task(&offer, "t");
            let whole = Resources::from_v1(&offer.resources).unwrap();
            assert!(whole.contains(&Resources::from_v1(&task.resources).unwrap()));
        }
    }
}
