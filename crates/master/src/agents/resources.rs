use meseta_proto::v1;
use meseta_resources::Resources;

use super::Unfit;

/// What an agent has: what its operator gave it, with the dynamic reservations and volumes that it
/// has on disk in place of the plain resources that they were made of.
pub(super) fn total(
    given: &[v1::Resource],
    checkpointed: &[v1::Resource],
) -> Result<Resources, Unfit> {
    let mut total = Resources::from_v1(given).map_err(|_| Unfit)?;
    for resource in checkpointed {
        let plain = [plain(resource)];
        let plain = Resources::from_v1(&plain).map_err(|_| Unfit)?;
        if !total.contains(&plain) {
            return Err(Unfit);
        }
        total -= &plain;
        total += &Resources::from_v1(std::slice::from_ref(resource)).map_err(|_| Unfit)?;
    }
    Ok(total)
}

/// What a reservation or a volume was made of.
fn plain(resource: &v1::Resource) -> v1::Resource {
    use v1::resource::reservation_info::Type;
    let mut plain = resource.clone();
    plain
        .reservations
        .retain(|reservation| reservation.r#type() == Type::Static);
    plain.shared = None;
    if let Some(disk) = &mut plain.disk {
        disk.persistence = None;
        disk.volume = None;
        if disk.source.is_none() {
            plain.disk = None;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use v1::resource::{ReservationInfo, reservation_info::Type};

    use super::*;

    #[test]
    fn reservations_on_disk_take_the_place_of_what_they_were_made_of() {
        let given = Resources::parse("cpus:4;mem:100", "*").unwrap().to_v1();
        let mut reserved = Resources::parse("cpus:1", "*").unwrap().to_v1();
        reserved[0].reservations.push(ReservationInfo {
            r#type: Some(Type::Dynamic.into()),
            role: Some("web".into()),
            ..Default::default()
        });
        let total = total(&given, &reserved).unwrap();
        assert_eq!(total.unreserved().cpus(), Some(3.0));
        assert_eq!(total.reserved_to("web").cpus(), Some(1.0));

        let mut more = reserved.clone();
        more[0].scalar = Some(v1::value::Scalar { value: 5.0 });
        assert_eq!(super::total(&given, &more), Err(Unfit));
    }
}
