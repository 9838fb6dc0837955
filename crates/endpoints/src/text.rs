//! JSON objects put together of forms and of texts that are there already.
//!
//! A serializer takes values alone. Where parts of a large answer are known from an earlier one, its
//! text is made here, object by object, with everything else in it through the forms.

use serde_json::Error;

use crate::forms::{Entries, Object};

/// A JSON object that is being written.
#[derive(Debug)]
pub struct TextObject<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl TextObject<'_> {
    /// Writes an object with the entries that `write` puts into it.
    ///
    /// # Errors
    /// When one of them has no form in JSON.
    pub fn write(
        out: &mut Vec<u8>,
        write: impl FnOnce(&mut TextObject<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let is_empty = true;
        let mut object = TextObject { out, is_empty };
        write(&mut object)?;
        if object.is_empty {
            out.push(b'{');
        }
        out.push(b'}');
        Ok(())
    }

    /// Adds entries.
    ///
    /// # Errors
    /// When one of them has no form in JSON.
    pub fn entries(&mut self, entries: &impl Entries) -> Result<(), Error> {
        let start = self.out.len();
        serde_json::to_writer(&mut *self.out, &Object(entries))?;
        // They go on in this object, so that the braces of their own fall away.
        self.out.pop();
        if self.out.len() == start + 1 {
            self.out.truncate(start);
            return Ok(());
        }
        let separator = self.separator();
        if let Some(brace) = self.out.get_mut(start) {
            *brace = separator;
        }
        Ok(())
    }

    /// Adds an array, the elements of which `write` appends, with commas between them. The name needs
    /// no escapes.
    ///
    /// # Errors
    /// Those of `write`.
    pub fn array<T>(
        &mut self,
        name: &'static str,
        write: impl FnOnce(&mut Vec<u8>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let separator = self.separator();
        self.out.extend([separator, b'"']);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":[");
        let written = write(self.out)?;
        self.out.push(b']');
        Ok(written)
    }

    /// What stands before the next entry.
    fn separator(&mut self) -> u8 {
        if std::mem::take(&mut self.is_empty) {
            b'{'
        } else {
            b','
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::ser::SerializeMap;

    use super::*;

    struct Numbers(&'static [&'static str]);

    impl Entries for Numbers {
        fn write<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
            for (number, name) in self.0.iter().enumerate() {
                map.serialize_entry(name, &number)?;
            }
            Ok(())
        }
    }

    fn text(write: impl FnOnce(&mut TextObject<'_>) -> Result<(), Error>) -> String {
        let mut out = b"(".to_vec();
        TextObject::write(&mut out, write).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn forms_and_arrays_follow_each_other_in_one_object() {
        let shown = text(|object| {
            object.entries(&Numbers(&["a", "b"]))?;
            object.array("c", |out| {
                out.extend_from_slice(b"1,2");
                Ok(())
            })?;
            object.entries(&Numbers(&[]))?;
            object.entries(&Numbers(&["d"]))
        });
        assert_eq!(shown, r#"({"a":0,"b":1,"c":[1,2],"d":0}"#);
    }

    #[test]
    fn an_object_may_begin_with_an_array_and_may_have_nothing_in_it() {
        let empty = |object: &mut TextObject<'_>| object.entries(&Numbers(&[]));
        assert_eq!(text(empty), "({}");
        let shown = text(|object| {
            object.entries(&Numbers(&[]))?;
            object.array("none", |_| Ok(()))
        });
        assert_eq!(shown, r#"({"none":[]}"#);
    }
}
