//! Dictionaries of RFC 8941, read more strictly than the RFC asks.
//!
//! There the last of two equal keys wins, without a word. In a field that says what is signed, whoever puts a second
//! one in decides which one is read. Here two equal keys are an error, among the members and among parameters alike.

use http::{HeaderMap, HeaderName};
use sfv::visitor::{DictionaryVisitor, EntryVisitor, InnerListVisitor, ItemVisitor, ParameterVisitor};
use sfv::{BareItemFromInput, Item, KeyRef, Parameters, Parser, Version};

use crate::auth::Refusal;

/// More members than any honest message has.
const MAX_MEMBERS: usize = 16;
/// More items in one list than any honest message has.
const MAX_ITEMS: usize = 64;

/// One member.
#[derive(Debug, Default)]
pub(super) struct Member {
    pub key: String,
    /// Whether it is an inner list. Else it is one item.
    pub is_list: bool,
    pub items: Vec<Item>,
    /// Parameters of the inner list.
    pub params: Parameters,
}

impl Member {
    /// The bytes, if the member is one byte sequence.
    pub(super) fn bytes(&self) -> Option<&[u8]> {
        match self.items.as_slice() {
            [item] if !self.is_list => item.bare_item.as_byte_sequence(),
            _ => None,
        }
    }
}

/// All lines of a field as one dictionary, in the order sent; `None` when the field is not there.
pub(super) fn read(headers: &HeaderMap, name: &HeaderName) -> Result<Option<Vec<Member>>, Refusal> {
    let lines: Vec<&[u8]> = headers.get_all(name).iter().map(|line| line.as_bytes()).collect();
    if lines.is_empty() {
        return Ok(None);
    }
    let all = lines.join(&b", "[..]);
    let parser = Parser::new(&all).with_version(Version::Rfc8941);
    let members = parser.parse_dictionary_with_visitor(Strict::default());
    members.map(Some).map_err(|_| Refusal::Malformed("a field is not a dictionary, or has a key twice"))
}

#[derive(Debug, thiserror::Error)]
#[error("a key twice, or too much of something")]
struct TooMany;

#[derive(Default)]
struct Strict(Vec<Member>);

impl<'de> DictionaryVisitor<'de> for Strict {
    type Out = Vec<Member>;
    type Error = TooMany;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, TooMany> {
        if self.0.len() == MAX_MEMBERS || self.0.iter().any(|member| member.key == key.as_str()) {
            return Err(TooMany);
        }
        Ok(Entry(self.0.push_mut(Member { key: key.as_str().to_owned(), ..Member::default() })))
    }

    fn finish(self) -> Result<Vec<Member>, TooMany> {
        Ok(self.0)
    }
}

struct Entry<'a>(&'a mut Member);

impl<'de> EntryVisitor<'de> for Entry<'_> {
    type Error = TooMany;

    fn item(self) -> Result<impl ItemVisitor<'de>, TooMany> {
        Ok(One(&mut self.0.items))
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, TooMany> {
        self.0.is_list = true;
        Ok(List(self.0))
    }
}

struct List<'a>(&'a mut Member);

impl<'de> InnerListVisitor<'de> for List<'_> {
    type Error = TooMany;

    fn item(&mut self) -> Result<impl ItemVisitor<'de>, TooMany> {
        if self.0.items.len() == MAX_ITEMS { Err(TooMany) } else { Ok(One(&mut self.0.items)) }
    }

    fn finish(self) -> Result<impl ParameterVisitor<'de>, TooMany> {
        Ok(Params(&mut self.0.params))
    }
}

struct One<'a>(&'a mut Vec<Item>);

impl<'de> ItemVisitor<'de> for One<'_> {
    type Out = ();
    type Error = TooMany;

    fn bare_item(self, bare_item: BareItemFromInput<'de>) -> Result<impl ParameterVisitor<'de, Out = ()>, TooMany> {
        Ok(Params(&mut self.0.push_mut(Item::new(bare_item)).params))
    }
}

struct Params<'a>(&'a mut Parameters);

impl<'de> ParameterVisitor<'de> for Params<'_> {
    type Out = ();
    type Error = TooMany;

    fn parameter(&mut self, key: &'de KeyRef, value: BareItemFromInput<'de>) -> Result<(), TooMany> {
        if self.0.len() == MAX_MEMBERS || self.0.insert(key.to_owned(), value.into()).is_some() { Err(TooMany) } else { Ok(()) }
    }

    fn finish(self) -> Result<(), TooMany> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const NAME: HeaderName = HeaderName::from_static("signature-input");

    fn read_lines(lines: &[&[u8]]) -> Result<Option<Vec<Member>>, Refusal> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(NAME, HeaderValue::from_bytes(line).unwrap());
        }
        read(&headers, &NAME)
    }

    #[test]
    fn the_lines_of_a_field_are_one_dictionary() {
        let members = read_lines(&[b"a=(\"x\" \"y\";p=1);q=\"r\"", b" b=:AQI=: ,\tc"]).unwrap().unwrap();
        let keys: Vec<_> = members.iter().map(|member| (member.key.as_str(), member.is_list, member.items.len(), member.params.len())).collect();
        assert_eq!(keys, [("a", true, 2, 1), ("b", false, 1, 0), ("c", false, 1, 0)]);
        assert_eq!((members[1].bytes(), members[2].bytes(), members[0].bytes()), (Some(&[1, 2][..]), None, None));
        assert!(read_lines(&[]).unwrap().is_none());
        assert_eq!(read_lines(&[b""]).unwrap().unwrap().len(), 0);
    }

    #[test]
    fn a_key_that_is_there_twice_is_not_chosen_from() {
        for lines in [
            &[&b"a=1, a=1"[..]][..],
            &[b"a=(), b=(), a=()"],
            &[b"a=()", b"a=()"],
            &[b"a=();p=1;p=1"],
            &[b"a=();p;q;p=2"],
            &[b"a=(\"x\";p;p)"],
            &[b"a=1;p;p"],
        ] {
            assert!(read_lines(lines).is_err(), "{lines:?}");
        }
    }

    #[test]
    fn what_is_not_a_dictionary_is_an_error() {
        for line in [
            &b"("[..],
            b"a=(",
            b"a=()b",
            b"a=(\"x\"\"y\")",
            b"a=(\"x\",\"y\")",
            b"A=()",
            b"a=():",
            b"a=(),",
            b",a=()",
            b"a=() b=()",
            b"a=(x",
            b"a=(\"x)",
            b"a=(\"\xc3\xa9\")",
            b"a=();created=@1",
            b"a=%\"x\"",
            b"a=();p=1.",
            b"a=();p=1000000000000000",
            b"a=:A=A:",
            b"a=:A*:",
            b"a=:AQI=",
            b"a=?2",
            b"a= ()",
            b"a =()",
            b"\"a\"=()",
        ] {
            assert!(read_lines(&[line]).is_err(), "{}", String::from_utf8_lossy(line));
        }
        assert!(read_lines(&[b"a=()", b"", b"b=()"]).is_err());
    }

    #[test]
    fn nobody_makes_us_read_without_end() {
        let members = |count: usize| (0..count).map(|at| format!("k{at}=1")).collect::<Vec<_>>().join(", ");
        let items = |count: usize| format!("a=({})", vec!["\"x\""; count].join(" "));
        let params = |count: usize| format!("a=(){}", (0..count).map(|at| format!(";p{at}")).collect::<String>());
        for (good, bad) in [(members(16), members(17)), (items(64), items(65)), (params(16), params(17))] {
            assert!(read_lines(&[good.as_bytes()]).is_ok() && read_lines(&[bad.as_bytes()]).is_err());
        }
    }

    proptest! {
        #[test]
        fn no_field_makes_the_reader_panic(line in "[ -~\t]{0,80}", shaped in "[ab=();\"@:?,0-9. -]{0,60}") {
            for line in [line, shaped] {
                let read = read_lines(&[line.as_bytes()]);
                if let Ok(Some(members)) = read {
                    for (at, member) in members.iter().enumerate() {
                        prop_assert!(members[..at].iter().all(|other| other.key != member.key));
                    }
                }
            }
        }
    }
}
