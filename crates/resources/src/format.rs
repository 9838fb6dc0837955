//! The forms in which a resource says whom it is reserved to.
//!
//! | form | `role` | `reservation` | `reservations` |
//! |---|---|---|---|
//! | pre-refinement | always | when dynamic | – |
//! | post-refinement | – | – | all, the innermost last |
//! | endpoint (JSON only) | with up to one reservation | when dynamic | all |

use std::borrow::Cow;

use meseta_proto::v1;
use v1::resource::{ReservationInfo, reservation_info};

use crate::{Error, roles};

/// Turns any form into the post-refinement one.
///
/// # Errors
/// When a dynamic reservation has no role to be for.
#[allow(deprecated, reason = "reads the old form")]
pub fn upgrade(resource: &mut v1::Resource) -> Result<(), Error> {
    if is_upgraded(resource) {
        return Ok(());
    }
    let role = resource.role.take();
    let reservation = resource.reservation.take();
    if !resource.reservations.is_empty() {
        return Ok(());
    }
    let role = role.unwrap_or_else(|| roles::DEFAULT.to_owned());
    if role == roles::DEFAULT {
        return match reservation {
            None => Ok(()),
            Some(_) => Err(Error::Invalid(
                "Invalid reservation: role \"*\" cannot be dynamically reserved".to_owned(),
            )),
        };
    }
    let (kind, reservation) = match reservation {
        None => (reservation_info::Type::Static, ReservationInfo::default()),
        Some(reservation) => (reservation_info::Type::Dynamic, *reservation),
    };
    resource.reservations.push(ReservationInfo {
        r#type: Some(kind.into()),
        role: Some(role),
        ..reservation
    });
    Ok(())
}

/// Any form in the post-refinement one, which most resources are in already.
pub(crate) fn upgraded(resource: &v1::Resource) -> Result<Cow<'_, v1::Resource>, Error> {
    if is_upgraded(resource) {
        return Ok(Cow::Borrowed(resource));
    }
    let mut upgraded = resource.clone();
    upgrade(&mut upgraded)?;
    Ok(Cow::Owned(upgraded))
}

#[allow(deprecated, reason = "looks for the old form")]
fn is_upgraded(resource: &v1::Resource) -> bool {
    resource.role.is_none() && resource.reservation.is_none()
}

/// Turns the post-refinement form into the pre-refinement one.
///
/// # Errors
/// When reservations are refined, which the old form cannot say; the resource is unchanged then.
pub fn downgrade(resource: &mut v1::Resource) -> Result<(), Error> {
    if resource.reservations.len() > 1 {
        return Err(Error::NotAllowed(
            "Cannot downgrade resources containing refined reservations".to_owned(),
        ));
    }
    to_endpoint(resource);
    resource.reservations.clear();
    Ok(())
}

/// Turns the post-refinement form into the one of endpoints, in which both can be read.
#[allow(deprecated, reason = "writes the old form")]
pub fn to_endpoint(resource: &mut v1::Resource) {
    match resource.reservations.as_slice() {
        [] => resource.role = Some(roles::DEFAULT.to_owned()),
        [only] => {
            resource.role = Some(only.role().to_owned());
            resource.reservation = (only.r#type() == reservation_info::Type::Dynamic).then(|| {
                Box::new(ReservationInfo {
                    principal: only.principal.clone(),
                    labels: only.labels.clone(),
                    ..ReservationInfo::default()
                })
            });
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_json(json: &str) -> v1::Resource {
        meseta_proto::json::from_slice(json.as_bytes()).unwrap()
    }

    #[test]
    fn both_forms_say_the_same() {
        for (pre, post) in [
            (
                r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"*"}"#,
                r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1}}"#,
            ),
            (
                r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"r"}"#,
                r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},"reservations":[{"type":"STATIC","role":"r"}]}"#,
            ),
            (
                r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},"role":"r","reservation":{"principal":"p"}}"#,
                r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},"reservations":[{"type":"DYNAMIC","role":"r","principal":"p"}]}"#,
            ),
        ] {
            let (pre, post) = (from_json(pre), from_json(post));
            let mut upgraded = pre.clone();
            upgrade(&mut upgraded).unwrap();
            assert_eq!(upgraded, post);
            let mut downgraded = post.clone();
            downgrade(&mut downgraded).unwrap();
            assert_eq!(downgraded, pre);
            let mut shown = post.clone();
            to_endpoint(&mut shown);
            upgrade(&mut shown).unwrap();
            assert_eq!(shown, post);
        }
    }

    #[test]
    fn refined_reservations_have_no_old_form() {
        let refined = from_json(
            r#"{"name":"cpus","type":"SCALAR","scalar":{"value":1},
                "reservations":[{"type":"STATIC","role":"r"},{"type":"DYNAMIC","role":"r/s"}]}"#,
        );
        let mut resource = refined.clone();
        assert_eq!(
            downgrade(&mut resource).unwrap_err().to_string(),
            "Cannot downgrade resources containing refined reservations"
        );
        assert_eq!(resource, refined);
    }
}
