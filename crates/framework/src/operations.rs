//! What offers are used for: operations for [`Scheduler::accept`](crate::Scheduler::accept).
//!
//! ```
//! use meseta_framework::operations::{self, OperationExt as _};
//! use meseta_framework::resource::{ResourceExt as _, disk};
//!
//! let reserved = disk(64.0).reserved_to("databases", None);
//! let volume = reserved.clone().as_volume("counter", "data", None);
//! // In one ACCEPT, in this order; the ids have the agent tell what becomes of them.
//! let operations = [
//!     operations::reserve([reserved]).with_id("reserve-1"),
//!     operations::create([volume]).with_id("create-1"),
//! ];
//! assert_eq!(operations.len(), 2);
//! ```

use meseta_proto::v1::offer::Operation;
use meseta_proto::v1::offer::operation::{
    Create, Destroy, GrowVolume, Launch, LaunchGroup, Reserve, ShrinkVolume, Type, Unreserve,
};
use meseta_proto::v1::value::Scalar;
use meseta_proto::v1::{ExecutorInfo, OperationId, Resource, TaskGroupInfo, TaskInfo};

/// Runs tasks, each by an executor of its own or by the one that it names.
pub fn launch(tasks: impl IntoIterator<Item = TaskInfo>) -> Operation {
    Operation {
        launch: Some(Launch {
            task_infos: tasks.into_iter().collect(),
        }),
        ..of(Type::Launch)
    }
}

/// Runs tasks together, all or none, in containers of one executor.
pub fn launch_group(
    executor: ExecutorInfo,
    tasks: impl IntoIterator<Item = TaskInfo>,
) -> Operation {
    Operation {
        launch_group: Some(Box::new(LaunchGroup {
            executor,
            task_group: TaskGroupInfo {
                tasks: tasks.into_iter().collect(),
            },
        })),
        ..of(Type::LaunchGroup)
    }
}

/// Reserves resources, named as they are to be: see
/// [`reserved_to`](crate::resource::ResourceExt::reserved_to).
pub fn reserve(resources: impl IntoIterator<Item = Resource>) -> Operation {
    Operation {
        reserve: Some(Reserve {
            source: Vec::new(),
            resources: resources.into_iter().collect(),
        }),
        ..of(Type::Reserve)
    }
}

/// Gives reserved resources, named as they are, back to everybody.
pub fn unreserve(resources: impl IntoIterator<Item = Resource>) -> Operation {
    Operation {
        unreserve: Some(Unreserve {
            resources: resources.into_iter().collect(),
        }),
        ..of(Type::Unreserve)
    }
}

/// Makes persistent volumes of reserved disk: see
/// [`as_volume`](crate::resource::ResourceExt::as_volume).
pub fn create(volumes: impl IntoIterator<Item = Resource>) -> Operation {
    Operation {
        create: Some(Create {
            volumes: volumes.into_iter().collect(),
        }),
        ..of(Type::Create)
    }
}

/// Ends persistent volumes, with all that is in them.
pub fn destroy(volumes: impl IntoIterator<Item = Resource>) -> Operation {
    Operation {
        destroy: Some(Destroy {
            volumes: volumes.into_iter().collect(),
        }),
        ..of(Type::Destroy)
    }
}

/// Adds disk, reserved as the volume is, to a volume.
pub fn grow_volume(volume: Resource, addition: Resource) -> Operation {
    Operation {
        grow_volume: Some(Box::new(GrowVolume { volume, addition })),
        ..of(Type::GrowVolume)
    }
}

/// Takes so many megabytes away from a volume.
pub fn shrink_volume(volume: Resource, megabytes: f64) -> Operation {
    Operation {
        shrink_volume: Some(Box::new(ShrinkVolume {
            volume,
            subtract: Scalar { value: megabytes },
        })),
        ..of(Type::ShrinkVolume)
    }
}

/// More to say of an operation.
pub trait OperationExt: Sized {
    /// With an id: the agent tells what becomes of it by UPDATE_OPERATION_STATUS, again and again
    /// until that is acknowledged. Only for other operations than launches.
    #[must_use]
    fn with_id(self, id: impl Into<OperationId>) -> Self;
}

impl OperationExt for Operation {
    fn with_id(mut self, id: impl Into<OperationId>) -> Self {
        self.id = Some(id.into());
        self
    }
}

fn of(kind: Type) -> Operation {
    Operation {
        r#type: Some(kind.into()),
        ..Operation::default()
    }
}
