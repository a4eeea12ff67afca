//! The mutants that no test notices, and why.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

/// Where they are listed: sections whose heading is a reason, with lines such as "- `file: what` 3 times".
pub(super) const PAGE: &str = "kernel-aarch64/core/mutants.md";

/// How many of each are listed.
pub(super) fn load(root: &Path) -> Result<BTreeMap<String, usize>> {
    let text = fs::read_to_string(root.join(PAGE)).with_context(|| PAGE)?;
    Ok(parse(&text))
}

fn parse(text: &str) -> BTreeMap<String, usize> {
    let mut known = BTreeMap::new();
    for line in text.lines() {
        let Some((what, rest)) = line.strip_prefix("- `").and_then(|l| l.rsplit_once('`')) else {
            continue;
        };
        let times = rest.trim().strip_suffix(" times");
        let times = times.and_then(|n| n.parse().ok()).unwrap_or(1);
        *known.entry(what.to_string()).or_default() += times;
    }
    known
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_without_a_number_count_once() {
        let known = super::parse("# Why\n\n- `a.rs: replace + with - in f`\n- `b.rs: c` 3 times\n");
        assert_eq!(known.get("a.rs: replace + with - in f"), Some(&1));
        assert_eq!(known.get("b.rs: c"), Some(&3));
        assert_eq!(known.len(), 2);
    }
}
