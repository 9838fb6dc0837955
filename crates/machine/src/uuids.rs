/// Whether bytes are a UUID: 16 of them, of one of the versions from 1 to 5, as C++ peers have it.
/// Some of those end themselves over anything else.
pub fn is_uuid(bytes: &[u8]) -> bool {
    match bytes {
        [_, _, _, _, _, _, version, rest @ ..] => rest.len() == 9 && matches!(version >> 4, 1..=5),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Entropy;

    #[test]
    fn a_uuid_has_sixteen_bytes_and_a_version() {
        let uuid = Entropy::new(1).uuid_bytes();
        assert!(is_uuid(&uuid));
        for version in 0..=15 {
            let mut uuid = uuid;
            uuid[6] = uuid[6] & 0x0f | version << 4;
            assert_eq!(is_uuid(&uuid), (1..=5).contains(&version), "{version}");
        }
        assert!(!is_uuid(&uuid[1..]));
        assert!(!is_uuid(&[0x40; 17]));
        assert!(!is_uuid(&[]));
    }
}
