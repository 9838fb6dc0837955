//! What operations on offers make of resources: reserving, volumes, and back.

use meseta_proto::v1::{self, offer};
use v1::offer::operation::Type;

use crate::{Error, Resource, Resources};

/// One step of an operation: some resources become others.
#[derive(Debug, Clone, PartialEq)]
pub struct Conversion {
    /// What it takes.
    pub consumed: Resources,
    /// What it makes of that.
    pub converted: Resources,
    /// What must not be there any more afterwards: a shared volume has no copies when it is
    /// destroyed.
    gone: Option<Resources>,
}

impl Conversion {
    fn new(consumed: Resources, converted: Resources) -> Self {
        Self {
            consumed,
            converted,
            gone: None,
        }
    }

    /// The same for resources that are allocated to no role.
    #[must_use]
    pub fn unallocate(&self) -> Self {
        Self {
            consumed: self.consumed.unallocate(),
            converted: self.converted.unallocate(),
            gone: self.gone.as_ref().map(Resources::unallocate),
        }
    }

    /// What becomes of resources that hold what is consumed.
    ///
    /// # Errors
    /// In Mesos's words, when they do not hold it.
    pub fn apply(&self, resources: &Resources) -> Result<Resources, Error> {
        if !resources.contains(&self.consumed) {
            return Err(Error::NotAllowed(format!(
                "{resources} does not contain {}",
                self.consumed
            )));
        }
        let result = &(resources - &self.consumed) + &self.converted;
        match &self.gone {
            Some(gone) if result.contains(gone) => Err(Error::NotAllowed(format!(
                "Persistent volume {gone} cannot be removed due to additional shared copies"
            ))),
            _ => Ok(result),
        }
    }
}

/// The steps of an operation, in order.
///
/// # Errors
/// In Mesos's words: when its resources are invalid, and for operations that are none on resources
/// alone (launches, and what only resource providers do).
pub fn conversions(operation: &offer::Operation) -> Result<Vec<Conversion>, Error> {
    match operation.r#type() {
        Type::Unknown => not_allowed("Unknown operation"),
        Type::Launch | Type::LaunchGroup | Type::CreateDisk | Type::DestroyDisk => {
            not_allowed("Operation not supported")
        }
        Type::Reserve => {
            let reserve = part(operation.reserve.as_ref())?;
            let converted = Resources::from_v1(&reserve.resources)?;
            let consumed = if reserve.source.is_empty() {
                converted.pop_reservation()
            } else {
                Resources::from_v1(&reserve.source)?
            };
            Ok(vec![Conversion::new(consumed, converted)])
        }
        Type::Unreserve => {
            let unreserve = part(operation.unreserve.as_ref())?;
            each(&unreserve.resources, |resource| {
                let consumed = one(resource)?;
                let converted = consumed.pop_reservation();
                Ok(Conversion::new(consumed, converted))
            })
        }
        Type::Create => {
            let create = part(operation.create.as_ref())?;
            each(&create.volumes, |volume| {
                Ok(Conversion::new(one(&without_volume(volume))?, one(volume)?))
            })
        }
        Type::Destroy => {
            let destroy = part(operation.destroy.as_ref())?;
            each(&destroy.volumes, |volume| {
                let consumed = one(volume)?;
                Ok(Conversion {
                    gone: Some(consumed.clone()),
                    ..Conversion::new(consumed, one(&without_volume(volume))?)
                })
            })
        }
        Type::GrowVolume => {
            let grow = part(operation.grow_volume.as_ref())?;
            refuse_provided(&grow.volume)?;
            let (volume, addition) = (one(&grow.volume)?, one(&grow.addition)?);
            let by = grow.addition.scalar.map_or(0.0, |scalar| scalar.value);
            let grown = one(&resized(&grow.volume, by))?;
            Ok(vec![Conversion::new(&volume + &addition, grown)])
        }
        Type::ShrinkVolume => {
            let shrink = part(operation.shrink_volume.as_ref())?;
            refuse_provided(&shrink.volume)?;
            let left = one(&resized(&shrink.volume, -shrink.subtract.value))?;
            let freed = v1::Resource {
                scalar: Some(shrink.subtract),
                ..without_volume(&shrink.volume)
            };
            let converted = &left + &one(&freed)?;
            Ok(vec![Conversion::new(one(&shrink.volume)?, converted)])
        }
    }
}

/// What a volume was made of.
pub fn without_volume(volume: &v1::Resource) -> v1::Resource {
    let mut plain = volume.clone();
    // Only volumes are shared.
    plain.shared = None;
    plain.disk = plain.disk.and_then(|mut disk| {
        disk.persistence = None;
        disk.volume = None;
        disk.source.is_some().then_some(disk)
    });
    plain
}

impl Resource {
    /// Whether an agent has to keep it on disk, because its configuration does not tell of it:
    /// dynamic reservations and volumes.
    pub fn needs_checkpoint(&self) -> bool {
        self.is_dynamically_reserved() || self.is_persistent_volume()
    }
}

fn not_allowed<T>(sentence: &str) -> Result<T, Error> {
    Err(Error::NotAllowed(sentence.to_owned()))
}

fn part<T>(part: Option<&T>) -> Result<&T, Error> {
    part.ok_or_else(|| Error::NotAllowed("Operation does not say what it is about".to_owned()))
}

fn one(resource: &v1::Resource) -> Result<Resources, Error> {
    Resources::from_v1(std::slice::from_ref(resource))
}

fn each(
    resources: &[v1::Resource],
    convert: impl FnMut(&v1::Resource) -> Result<Conversion, Error>,
) -> Result<Vec<Conversion>, Error> {
    resources.iter().map(convert).collect()
}

fn refuse_provided(volume: &v1::Resource) -> Result<(), Error> {
    match volume.provider_id {
        Some(_) => not_allowed("Operation not supported for resource provider"),
        None => Ok(()),
    }
}

fn resized(volume: &v1::Resource, by: f64) -> v1::Resource {
    let mut volume = volume.clone();
    if let Some(scalar) = &mut volume.scalar {
        scalar.value += by;
    }
    volume
}

#[cfg(test)]
mod tests {
    use super::*;

    const RESERVED: &str =
        r#""name":"disk","type":"SCALAR","reservations":[{"type":"DYNAMIC","role":"r"}]"#;
    const VOLUME: &str =
        r#""disk":{"persistence":{"id":"v"},"volume":{"mode":"RW","container_path":"p"}}"#;

    fn operation(text: &str) -> Vec<Conversion> {
        let operation: offer::Operation = meseta_proto::json::from_slice(text.as_bytes()).unwrap();
        conversions(&operation).unwrap()
    }

    fn after(start: &str, operations: &[&str]) -> String {
        let mut resources = Resources::parse(start, "*").unwrap();
        for text in operations {
            for conversion in operation(text) {
                match conversion.apply(&resources) {
                    Ok(changed) => resources = changed,
                    Err(error) => return error.to_string(),
                }
            }
        }
        resources.to_string()
    }

    fn reserve(amount: u32) -> String {
        format!(
            r#"{{"type":"RESERVE","reserve":{{"resources":[
            {{{RESERVED},"scalar":{{"value":{amount}}}}}]}}}}"#
        )
    }

    fn volumes(kind: &str, amount: u32, more: &str) -> String {
        format!(
            r#"{{"type":"{}","{kind}":{{"volumes":[
            {{{RESERVED},"scalar":{{"value":{amount}}},{VOLUME}{more}}}]}}}}"#,
            kind.to_uppercase()
        )
    }

    #[test]
    fn what_is_reserved_made_into_a_volume_and_given_back_is_as_before() {
        let unreserve = reserve(4)
            .replace("RESERVE", "UNRESERVE")
            .replace(r#""reserve":"#, r#""unreserve":"#);
        assert_eq!(
            after("disk:10", &[&reserve(4), &volumes("create", 4, "")]),
            "disk:6; disk(reservations: [(DYNAMIC,r)])[v:p]:4"
        );
        let there_and_back = [
            &reserve(4)[..],
            &volumes("create", 4, ""),
            &volumes("destroy", 4, ""),
            &unreserve,
        ];
        assert_eq!(after("disk:10", &there_and_back), "disk:10");
    }

    #[test]
    fn a_volume_grows_by_what_is_added_and_shrinks_by_what_is_freed() {
        let volume = format!(r#""volume":{{{RESERVED},"scalar":{{"value":4}},{VOLUME}}}"#);
        let grow = format!(
            r#"{{"type":"GROW_VOLUME","grow_volume":{{{volume},
            "addition":{{{RESERVED},"scalar":{{"value":2}}}}}}}}"#
        );
        let shrink = format!(
            r#"{{"type":"SHRINK_VOLUME","shrink_volume":{{{volume},"subtract":{{"value":1}}}}}}"#
        );
        let made = [&reserve(6)[..], &volumes("create", 4, "")];
        assert_eq!(
            after("disk:6", &[made[0], made[1], &grow]),
            "disk(reservations: [(DYNAMIC,r)])[v:p]:6"
        );
        assert_eq!(
            after("disk:6", &[made[0], made[1], &shrink]),
            "disk(reservations: [(DYNAMIC,r)]):3; disk(reservations: [(DYNAMIC,r)])[v:p]:3"
        );
    }

    #[test]
    fn what_is_not_there_cannot_be_converted() {
        assert_eq!(
            after("disk:3", &[&reserve(4)]),
            "disk:3 does not contain disk:4"
        );
    }

    #[test]
    fn a_shared_volume_is_destroyed_with_its_last_copy() {
        let shared = r#","shared":{}"#;
        let (create, destroy) = (volumes("create", 4, shared), volumes("destroy", 4, shared));
        let created = after("disk:4", &[&reserve(4), &create]);
        assert_eq!(
            created,
            "disk(reservations: [(DYNAMIC,r)])[v:p]<SHARED>:4<1>"
        );
        let mut resources = Resources::parse("disk:4", "*").unwrap();
        for conversion in operation(&reserve(4)).iter().chain(&operation(&create)) {
            resources = conversion.apply(&resources).unwrap();
        }
        let [destroy] = &operation(&destroy)[..] else {
            panic!("one conversion")
        };
        let two = &resources + &resources;
        assert_eq!(
            destroy.apply(&two).unwrap_err().to_string(),
            "Persistent volume disk(reservations: [(DYNAMIC,r)])[v:p]<SHARED>:4<1> cannot be removed \
             due to additional shared copies"
        );
        assert!(destroy.apply(&resources).is_ok());
    }
}
