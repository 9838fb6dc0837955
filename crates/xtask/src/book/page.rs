//! One page: its headings as anchors, and its links.

use std::collections::BTreeSet;
use std::ops::Range;

use pulldown_cmark::{Event, LinkType, Options, Parser, Tag, TagEnd};

/// What a page leads to, and can be led to.
#[derive(Debug)]
pub(super) struct Page {
    text: String,
    pub(super) links: Vec<Link>,
    pub(super) anchors: BTreeSet<String>,
}

/// A link or a picture.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) target: String,
    pub(super) line: usize,
    place: Range<usize>,
}

impl Link {
    /// The path in the repository, relative to the page; nothing if it leads elsewhere. Empty within the page.
    pub(super) fn path(&self) -> Option<&str> {
        let scheme = self.target.split_once(':').is_some_and(|(scheme, _)| {
            scheme.chars().all(|c| c.is_ascii_alphanumeric()) && !scheme.is_empty()
        });
        if scheme || self.target.starts_with('/') {
            return None;
        }
        Some(self.target.split('#').next().unwrap_or_default())
    }

    pub(super) fn anchor(&self) -> Option<&str> {
        Some(self.target.split_once('#')?.1)
    }
}

impl Page {
    pub(super) fn new(text: String) -> Self {
        let mut links = Vec::new();
        let mut anchors = BTreeSet::new();
        let mut heading: Option<String> = None;
        for (event, place) in Parser::new_ext(&text, Options::ENABLE_TABLES).into_offset_iter() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::End(TagEnd::Heading(_)) => {
                    anchors.extend(heading.take().map(|words| unused(&anchors, &words)));
                }
                Event::Text(words) | Event::Code(words) => {
                    if let Some(heading) = &mut heading {
                        heading.push_str(&words);
                    }
                }
                Event::Start(
                    Tag::Link {
                        link_type,
                        dest_url,
                        ..
                    }
                    | Tag::Image {
                        link_type,
                        dest_url,
                        ..
                    },
                ) if link_type == LinkType::Inline => {
                    let before = text.get(..place.start).unwrap_or_default();
                    links.push(Link {
                        target: dest_url.into_string(),
                        line: before.matches('\n').count() + 1,
                        place,
                    });
                }
                _ => {}
            }
        }
        Self {
            text,
            links,
            anchors,
        }
    }

    /// The page with other targets for those links for which there are any.
    pub(super) fn with_links(&self, other: impl Fn(&Link) -> Option<String>) -> String {
        let mut text = self.text.clone();
        for link in self.links.iter().rev() {
            let Some(new) = other(link) else { continue };
            let Some(old) = self.text.get(link.place.clone()) else {
                continue;
            };
            // A link within a link's words (a picture) has its own place before that of the outer target.
            if let Some((words, rest)) = old.rsplit_once(&format!("]({}", link.target)) {
                text.replace_range(link.place.clone(), &format!("{words}]({new}{rest}"));
            }
        }
        text
    }
}

/// What GitHub and mdBook both make of a heading, numbered if it is there already.
fn unused(anchors: &BTreeSet<String>, heading: &str) -> String {
    let anchor: String = heading
        .trim()
        .to_lowercase()
        .chars()
        .filter_map(|c| match c {
            ' ' => Some('-'),
            '-' | '_' => Some(c),
            _ => c.is_alphanumeric().then_some(c),
        })
        .collect();
    if !anchors.contains(&anchor) {
        return anchor;
    }
    let numbered = (1..).map(|number| format!("{anchor}-{number}"));
    numbered
        .into_iter()
        .find(|it| !anchors.contains(it))
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_anchors_and_come_twice_under_numbers() {
        let page = Page::new("# What `a_task` is, exactly?\n## And\n## And\n".into());
        let expected = ["what-a_task-is-exactly", "and", "and-1"];
        assert_eq!(page.anchors, expected.map(String::from).into());
    }

    #[test]
    fn links_in_code_are_none() {
        let page =
            Page::new("`[a](b.md)`\n\n```sh\n[c](d.md)\n```\n\nBut [e](f.md#g) is.\n".into());
        let links: Vec<_> = page
            .links
            .iter()
            .map(|link| (link.line, link.path(), link.anchor()))
            .collect();
        assert_eq!(links, [(7, Some("f.md"), Some("g"))]);
    }

    #[test]
    fn links_to_the_web_have_no_path_here() {
        let page = Page::new("[a](https://example.com/#b) <http://127.0.0.1:5050/> [c](#d)".into());
        let paths: Vec<_> = page.links.iter().map(Link::path).collect();
        assert_eq!(paths, [None, Some("")]);
    }

    #[test]
    fn links_get_other_targets_where_there_are_any() {
        let page = Page::new("[a](../x.rs) and [a](y.md), [`c`](../x.rs)".into());
        let changed = page.with_links(|link| (link.target == "../x.rs").then(|| "X".to_owned()));
        assert_eq!(changed, "[a](X) and [a](y.md), [`c`](X)");
    }
}
