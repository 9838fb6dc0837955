//! The processes below one, found by asking each for its children: what that takes follows how many they
//! are, not how many run on the machine. Hundreds of executors look at the same moment when hundreds of
//! tasks are killed.

use std::collections::BTreeMap;
use std::{fs, io};

use rustix::process::Pid;

use crate::limits::WALKS;

/// All processes below this one, level by level.
pub(crate) fn descendants(root: Pid) -> io::Result<Vec<Pid>> {
    let root = root.as_raw_nonzero().get();
    let found = match settled(|| walk(root, children)) {
        Some(found) => found,
        None => below(root, all()?),
    };
    Ok(found.into_iter().filter_map(Pid::from_raw).collect())
}

/// What two walks in a row have found. One alone may miss what changes its place meanwhile: the kernel may
/// leave out children while others end, and those whose parent ends become children of this process. Where
/// nothing was found, nothing can have been missed.
fn settled(mut walk: impl FnMut() -> Option<Vec<i32>>) -> Option<Vec<i32>> {
    let mut last = walk()?;
    for _ in 1..WALKS {
        if last.is_empty() {
            return Some(last);
        }
        let again = walk()?;
        if again == last {
            return Some(last);
        }
        last = again;
    }
    None
}

/// Goes down from a process; `None` if it has no list of children.
fn walk(root: i32, mut children: impl FnMut(i32) -> Option<Vec<i32>>) -> Option<Vec<i32>> {
    let mut found = children(root)?;
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        // One that has ended meanwhile has none.
        let theirs = children(*pid).unwrap_or_default();
        found.extend(theirs);
        next += 1;
    }
    Some(found)
}

/// The children of a process, thread by thread; `None` if it is gone, or the kernel keeps no such lists.
fn children(pid: i32) -> Option<Vec<i32>> {
    let mut found = Vec::new();
    let mut is_listed = false;
    for thread in fs::read_dir(format!("/proc/{pid}/task")).ok()? {
        let list = thread.and_then(|thread| fs::read_to_string(thread.path().join("children")));
        // A thread that has ended meanwhile has left them to another.
        let Ok(list) = list else { continue };
        is_listed = true;
        found.extend(list.split_ascii_whitespace().flat_map(str::parse::<i32>));
    }
    is_listed.then_some(found)
}

/// Every process of the machine, with its parent.
fn all() -> io::Result<Vec<(i32, i32)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process that ends meanwhile has no such file any more.
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else {
            continue;
        };
        found.extend(parent_in(&stat).map(|parent| (pid, parent)));
    }
    Ok(found)
}

/// Those of these processes that are below one.
fn below(root: i32, all: Vec<(i32, i32)>) -> Vec<i32> {
    let mut children: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
    for (pid, parent) in all {
        children.entry(parent).or_default().push(pid);
    }
    walk(root, |pid| children.remove(&pid)).unwrap_or_default()
}

/// `pid (name) state parent …`, where the name may hold anything, even parentheses.
fn parent_in(stat: &str) -> Option<i32> {
    let (_, rest) = stat.rsplit_once(')')?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_parent_is_found_whatever_the_process_is_called() {
        assert_eq!(parent_in("12 (sh) S 7 12 12 0 -1"), Some(7));
        assert_eq!(parent_in("12 (a) R 1 (b) S 7 12 12 0 -1"), Some(7));
        assert_eq!(parent_in("12"), None);
    }

    /// Two children, of which the first has one of its own.
    fn family(pid: i32) -> Option<Vec<i32>> {
        match pid {
            1 => Some(vec![10, 20]),
            10 => Some(vec![11]),
            11 | 20 => Some(Vec::new()),
            _ => None,
        }
    }

    #[test]
    fn nobody_is_asked_but_those_below_and_parents_come_before_their_children() {
        let mut asked = Vec::new();
        let found = walk(1, |pid| {
            asked.push(pid);
            family(pid)
        });
        assert_eq!(found, Some(vec![10, 20, 11]));
        assert_eq!(asked, [1, 10, 20, 11]);
        let all = vec![(11, 10), (10, 1), (20, 1), (1, 0), (30, 0)];
        assert_eq!(below(1, all), [10, 20, 11]);
        assert!(below(5, Vec::new()).is_empty());
    }

    #[test]
    fn what_one_walk_has_missed_is_looked_for_until_two_agree() {
        let settle = |walks: &[Option<&[i32]>]| {
            let mut walks = walks.iter().map(|found| found.map(<[i32]>::to_vec));
            let found = settled(|| walks.next().expect("no more walks than that"));
            assert_eq!(walks.next(), None, "a walk was not asked for");
            found
        };
        assert_eq!(settle(&[Some(&[])]), Some(vec![]));
        assert_eq!(settle(&[Some(&[1]), Some(&[1])]), Some(vec![1]));
        let late: [Option<&[i32]>; 3] = [Some(&[1]), Some(&[1, 2]), Some(&[1, 2])];
        assert_eq!(settle(&late), Some(vec![1, 2]));
        assert_eq!(settle(&[None]), None);
        // A tree that never rests is for who looks at all processes.
        let mut number = 0;
        let restless = settled(|| {
            number += 1;
            Some(vec![number])
        });
        assert_eq!((restless, number), (None, i32::try_from(WALKS).unwrap()));
    }

    #[test]
    fn the_kernel_says_of_a_tree_by_its_lists_what_it_says_by_all_processes() {
        let script = "sleep 100 & sh -c 'sleep 100 & echo ready; wait' & wait";
        let mut child = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0; 6];
        child.stdout.take().unwrap().read_exact(&mut ready).unwrap();
        let root = i32::try_from(child.id()).unwrap();
        let mut listed = walk(root, children).unwrap();
        let mut searched = below(root, all().unwrap());
        let found = descendants(Pid::from_raw(root).unwrap()).unwrap();
        for pid in &found {
            let _ = rustix::process::kill_process(*pid, rustix::process::Signal::KILL);
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(found.len(), 3);
        assert_eq!(listed.len(), 3);
        listed.sort_unstable();
        searched.sort_unstable();
        assert_eq!(listed, searched);
        assert_eq!(children(root), None, "it is gone");
    }
}
