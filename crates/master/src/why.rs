//! Why frameworks get no offers: the allocator's verdicts, found out piece by piece.
//!
//! Verdicts are not in the snapshot, because keeping them would cost time with every allocation and
//! memory for every framework and agent. So this is a question to the machine; but in one step it
//! looks at no more than [`MAX_VERDICTS_PER_STEP`] agents, whatever the cluster's size, and then
//! other inputs have their turn.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::time::Duration;

use meseta_allocator::Verdicts;
use meseta_machine::{Reply, RequestId};
use meseta_proto::v1::{AgentId, FrameworkId};

use crate::http;
use crate::limits::{MAX_QUESTIONS, MAX_VERDICTS_PER_STEP};
use crate::master::Master;
use crate::step::Step;
use crate::timers::Timer;

/// Why a framework gets no offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// The framework.
    pub framework_id: FrameworkId,
    /// In which of its roles; in all, if none is named.
    pub role: Option<String>,
    /// How many near misses to show for each role.
    pub nearest: usize,
}

/// Questions in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Inquiries(VecDeque<Inquiry>);

/// What has been found out for a question.
#[derive(Debug)]
struct Inquiry {
    request: RequestId,
    question: Question,
    /// The roles that are still to be looked at, the current one first.
    roles: VecDeque<String>,
    /// The last agent that was looked at for the current role.
    last: Option<AgentId>,
    found: BTreeMap<String, Verdicts>,
}

impl Master {
    /// Somebody asks why a framework gets no offers.
    pub(crate) fn on_question(
        &mut self,
        step: &mut Step<'_>,
        request: RequestId,
        question: Question,
    ) {
        match self.roles_in_question(&question) {
            Ok(roles) => {
                self.inquiries.0.push_back(Inquiry {
                    request,
                    question,
                    roles,
                    last: None,
                    found: BTreeMap::new(),
                });
                // The first is begun at once; the others wait for those before them.
                if self.inquiries.0.len() == 1 {
                    self.on_inquiry_due(step);
                }
            }
            Err(refusal) => step.reply(request, refusal),
        }
    }

    fn roles_in_question(&self, question: &Question) -> Result<VecDeque<String>, Reply> {
        let id = &question.framework_id;
        let Some(framework) = self.framework(id) else {
            return Err(unknown(id));
        };
        if self.inquiries.0.len() >= MAX_QUESTIONS {
            return Err(Reply::refused(503, "Too many such questions wait"));
        }
        let wanted = question.role.as_deref();
        let roles: VecDeque<String> = framework
            .roles()
            .filter(|role| wanted.is_none_or(|wanted| wanted == *role))
            .map(str::to_owned)
            .collect();
        match wanted {
            Some(role) if roles.is_empty() => Err(Reply::refused(
                404,
                format!("Framework {id} is not in role '{role}'"),
            )),
            Some(_) | None => Ok(roles),
        }
    }

    /// Finds out a part, and answers whatever question is complete with that.
    pub(crate) fn on_inquiry_due(&mut self, step: &mut Step<'_>) {
        let mut left = MAX_VERDICTS_PER_STEP;
        while let Some(mut inquiry) = self.inquiries.0.pop_front() {
            self.find_out(&mut inquiry, &mut left);
            if !inquiry.roles.is_empty() {
                self.inquiries.0.push_front(inquiry);
                // A moment later, so that what has come meanwhile is seen first.
                let soon = step.now.monotonic + Duration::from_nanos(1);
                self.timers.set(Timer::Why, soon);
                return;
            }
            let id = &inquiry.question.framework_id;
            let reply = match self.framework(id) {
                Some(framework) => http::why(
                    &self.state,
                    &self.allocator,
                    framework,
                    &inquiry.found,
                    step.now,
                ),
                None => unknown(id),
            };
            step.reply(inquiry.request, reply);
        }
    }

    fn find_out(&self, inquiry: &mut Inquiry, left: &mut usize) {
        while let Some(role) = inquiry.roles.front() {
            if *left == 0 {
                return;
            }
            let after = inquiry.last.take();
            let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
            let mut agents = self
                .state
                .agents
                .range::<_, AgentId>((start, Bound::Unbounded));
            let piece: Vec<&AgentId> = agents.by_ref().take(*left).map(|(id, _)| id).collect();
            // A role without agents costs something as well.
            *left = left.saturating_sub(piece.len().max(1));
            let found = inquiry.found.entry(role.clone()).or_default();
            let Question {
                framework_id,
                nearest,
                ..
            } = &inquiry.question;
            let looked_at = piece.iter().copied();
            self.allocator
                .judge(framework_id, role, looked_at, *nearest, found);
            match (agents.next(), piece.last()) {
                (Some(_), Some(last)) => inquiry.last = Some((*last).clone()),
                _ => {
                    inquiry.roles.pop_front();
                }
            }
        }
    }
}

fn unknown(id: &FrameworkId) -> Reply {
    Reply::refused(404, format!("No framework found with ID {id}"))
}
