//! Paths as text.

use alloc::string::String;
use alloc::vec::Vec;

/// The absolute path that `path` means in folder `folder`; `.` and `..` are worked off and never lead above the root.
#[must_use]
pub fn resolve(folder: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let start = if path.starts_with('/') { "" } else { folder };
    for part in start.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            name => parts.push(name),
        }
    }
    let mut absolute = String::from("/");
    absolute.push_str(&parts.join("/"));
    absolute
}

#[cfg(test)]
mod tests {
    use super::resolve;

    #[test]
    fn dots_are_worked_off_below_the_root() {
        for (folder, path, wanted) in [
            ("/", "a", "/a"),
            ("/a/b", "../c", "/a/c"),
            ("/a", "/x//y/.", "/x/y"),
            ("/a", "../../..", "/"),
            ("/a", "", "/a"),
            ("/a", "..hidden", "/a/..hidden"),
        ] {
            assert_eq!(resolve(folder, path), wanted, "{folder} {path}");
        }
    }
}
