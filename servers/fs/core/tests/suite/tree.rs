//! Random trees: whatever is done, the file system and a plain model agree on the
//! result and on the tree.

use std::collections::BTreeMap;

use gritos_fs_api::{FsError, OpenFlags};
use gritos_fs_core::vfs::Vfs;

use crate::support::{NEW, Paths, Random, each};

/// What is at a path below `/m`: the contents of a file, or a folder.
type Model = BTreeMap<String, Option<Vec<u8>>>;

#[test]
fn random_trees_agree_with_a_model() {
    let steps = std::env::var("GRITOS_TREE_STEPS")
        .ok()
        .and_then(|n| n.parse().ok());
    for seed in 1..=4 {
        each(|vfs, on| {
            let mut random = Random::new(seed);
            let mut model = Model::new();
            for step in 0..steps.unwrap_or(1_500) {
                one(
                    vfs,
                    &mut model,
                    &mut random,
                    &format!("{}, seed {seed}, step {step}", on.name),
                );
                if step % 100 == 99 {
                    compare(vfs, &model, on.name);
                }
            }
            compare(vfs, &model, on.name);
        });
    }
}

fn path(random: &mut Random) -> String {
    let depth = 1 + random.below(3);
    let mut path = String::new();
    for _ in 0..depth {
        path += "/";
        path += ["a", "b", "c", "long name with spaces.txt", "d"][random.below(5) as usize];
    }
    path
}

/// What stops a walk to the folder that holds a path.
fn parent_error(model: &Model, path: &str) -> Option<FsError> {
    let mut end = 0;
    while let Some(next) = path[end + 1..].find('/') {
        end += 1 + next;
        match model.get(&path[..end]) {
            None => return Some(FsError::NotFound),
            Some(Some(_)) => return Some(FsError::NotDirectory),
            Some(None) => {}
        }
    }
    None
}

fn has_children(model: &Model, path: &str) -> bool {
    let prefix = format!("{path}/");
    model.keys().any(|key| key.starts_with(&prefix))
}

fn one(vfs: &mut Vfs, model: &mut Model, random: &mut Random, context: &str) {
    let name = path(random);
    let full = format!("/m{name}");
    let error = parent_error(model, &name);
    let there = model.get(&name).cloned();
    match random.below(9) {
        0 | 1 => {
            let expected = match (error, &there) {
                (Some(error), _) => Err(error),
                (None, Some(_)) => Err(FsError::Exists),
                _ => Ok(()),
            };
            assert_eq!(vfs.dir(&full), expected, "mkdir {name}: {context}");
            if expected.is_ok() {
                model.insert(name, None);
            }
        }
        2..=4 => {
            let length = random.below(9000) as usize;
            let bytes = random.bytes(length);
            let expected = match (error, &there) {
                (Some(error), _) => Err(error),
                (None, Some(None)) => Err(FsError::IsDirectory),
                _ => Ok(()),
            };
            assert_eq!(vfs.put(&full, &bytes), expected, "write {name}: {context}");
            if expected.is_ok() {
                model.insert(name, Some(bytes));
            }
        }
        5 => {
            let expected = match (error, &there) {
                (Some(error), _) => Err(error),
                (None, None) => Err(FsError::NotFound),
                (None, Some(None)) => Err(FsError::IsDirectory),
                _ => Ok(()),
            };
            assert_eq!(vfs.rm(&full), expected, "unlink {name}: {context}");
            if expected.is_ok() {
                model.remove(&name);
            }
        }
        6 => {
            let expected = match (error, &there) {
                (Some(error), _) => Err(error),
                (None, None) => Err(FsError::NotFound),
                (None, Some(Some(_))) => Err(FsError::NotDirectory),
                _ if has_children(model, &name) => Err(FsError::NotEmpty),
                _ => Ok(()),
            };
            assert_eq!(vfs.rmd(&full), expected, "rmdir {name}: {context}");
            if expected.is_ok() {
                model.remove(&name);
            }
        }
        _ => {
            let to = path(random);
            let expected = rename_result(model, &name, &to);
            let found = vfs.mv(&full, &format!("/m{to}"));
            assert_eq!(found, expected, "rename {name} to {to}: {context}");
            if expected.is_ok() && name != to {
                let prefix = format!("{name}/");
                let moved: Vec<String> = model
                    .keys()
                    .filter(|key| **key == name || key.starts_with(&prefix))
                    .cloned()
                    .collect();
                let moved: Vec<_> = moved
                    .into_iter()
                    .map(|key| {
                        (
                            format!("{to}{}", &key[name.len()..]),
                            model.remove(&key).expect("key"),
                        )
                    })
                    .collect();
                model.remove(&to);
                model.extend(moved);
            }
        }
    }
}

fn rename_result(model: &Model, from: &str, to: &str) -> Result<(), FsError> {
    if let Some(error) = parent_error(model, from) {
        return Err(error);
    }
    let Some(old) = model.get(from) else {
        return Err(FsError::NotFound);
    };
    if let Some(error) = parent_error(model, to) {
        return Err(error);
    }
    if old.is_none() && to.starts_with(&format!("{from}/")) {
        return Err(FsError::Invalid);
    }
    match model.get(to) {
        _ if from == to => Ok(()),
        None => Ok(()),
        Some(new) => match (old.is_none(), new.is_none()) {
            (true, false) => Err(FsError::NotDirectory),
            (false, true) => Err(FsError::IsDirectory),
            (true, true) if has_children(model, to) => Err(FsError::NotEmpty),
            _ => Ok(()),
        },
    }
}

fn compare(vfs: &mut Vfs, model: &Model, context: &str) {
    let mut found = Model::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for name in vfs.list(&format!("/m{folder}")).expect("list") {
            let path = format!("{folder}/{name}");
            match vfs.content(&format!("/m{path}")) {
                Ok(bytes) => {
                    found.insert(path, Some(bytes));
                }
                Err(FsError::IsDirectory) => {
                    folders.push(path.clone());
                    found.insert(path, None);
                }
                Err(error) => panic!("{path}: {error:?} ({context})"),
            }
        }
    }
    assert!(
        found == *model,
        "{context}: {:?} instead of {:?}",
        found.keys().collect::<Vec<_>>(),
        model.keys().collect::<Vec<_>>()
    );
}

#[test]
fn ten_thousand_files_in_one_folder() {
    each(|vfs, on| {
        let count = if on.name.starts_with("fat") {
            300
        } else {
            10_000
        };
        let name = |i| format!("/m/file-{i:05}-with-a-name");
        for i in 0..count {
            let file = vfs
                .at(&name(i), NEW | OpenFlags::EXCLUSIVE)
                .expect("create");
            vfs.close(file);
        }
        assert_eq!(vfs.list("/m").expect("list").len(), count, "{}", on.name);
        for i in (0..count).step_by(97) {
            assert_eq!(vfs.size(&name(i)), Ok(0));
        }
        for i in 0..count {
            vfs.rm(&name(i)).expect("remove");
        }
        assert_eq!(vfs.list("/m").expect("list").len(), 0);
    });
}

#[test]
fn deep_trees_can_be_made_and_removed() {
    each(|vfs, on| {
        let depth = if on.name.starts_with("fat") { 20 } else { 200 };
        let mut path = String::from("/m");
        for _ in 0..depth {
            path += "/sub";
            vfs.dir(&path).expect("mkdir");
        }
        for _ in 0..depth {
            vfs.rmd(&path).expect("rmdir");
            path.truncate(path.len() - 4);
        }
    });
}
