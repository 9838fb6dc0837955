use std::fmt;

use crate::{Change, Error, Fact, Store};

/// Keeps the facts of a daemon, wherever that is: in a file of its own, or where several masters find
/// what one of them has written.
pub trait Registry: fmt::Debug + Send {
    /// Every fact, in the order of the keys.
    fn load(&self) -> Result<Vec<Fact>, Error>;

    /// Makes the changes, in order, durable as one: when this returns, whoever loads has all of them, and
    /// none if it fails.
    fn commit(&mut self, changes: &[Change]) -> Result<(), Error>;

    /// Keeps the changes, in order, as one, for whoever loads after the end of this process. They need not
    /// outlive the machine's power before the next commit.
    fn write(&mut self, changes: &[Change]) -> Result<(), Error> {
        self.commit(changes)
    }

    /// How much it keeps, in bytes.
    fn bytes(&self) -> u64;

    /// Whether there is room for what is to be kept next, beyond that which has been taken for what is
    /// promised already. To be asked again and again: it takes that room, and more when there is.
    fn has_room(&mut self) -> bool {
        true
    }
}

impl Registry for Store {
    fn load(&self) -> Result<Vec<Fact>, Error> {
        Self::load(self)
    }

    fn commit(&mut self, changes: &[Change]) -> Result<(), Error> {
        Self::commit(self, changes)
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), Error> {
        Self::write(self, changes)
    }

    fn bytes(&self) -> u64 {
        Self::bytes(self)
    }

    fn has_room(&mut self) -> bool {
        Self::has_room(self)
    }
}

/// Keeps nothing: for masters whose cluster ends with them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Forgetful;

impl Registry for Forgetful {
    fn load(&self) -> Result<Vec<Fact>, Error> {
        Ok(Vec::new())
    }

    fn commit(&mut self, _: &[Change]) -> Result<(), Error> {
        Ok(())
    }

    fn bytes(&self) -> u64 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_is_given_is_there_for_the_next_who_loads_unless_it_forgets() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("facts");
        let change = ("key".to_owned(), Some(b"value".to_vec()));
        let mut store: Box<dyn Registry> = Box::new(Store::open(&path).unwrap());
        store.commit(std::slice::from_ref(&change)).unwrap();
        assert!(store.bytes() > 0);
        drop(store);
        let store: Box<dyn Registry> = Box::new(Store::open(&path).unwrap());
        assert_eq!(store.load().unwrap().len(), 1);
        let mut none: Box<dyn Registry> = Box::new(Forgetful);
        none.commit(&[change]).unwrap();
        assert_eq!((none.load().unwrap(), none.bytes()), (Vec::new(), 0));
    }
}
