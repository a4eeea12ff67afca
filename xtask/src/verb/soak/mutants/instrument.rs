//! One source text with every mutant in it, each behind a question whether it is the chosen one.
//!
//! An expression `a + b` becomes `(if chosen(7) { (a) - (b) } else { a + b })`: only one mutant is chosen at a time, so
//! what replaces is taken from the source as it is, and only what stays is instrumented further. A function that is
//! replaced returns at once; an arm that is deleted gets a guard. A constant gets a sister for each of its mutants, and
//! its uses choose. The question is answered with no at compile time, so that constant functions stay such.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use anyhow::{Context, Result};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use super::list::{Genre, Mutant};

/// What the question is called in the instrumented crate.
pub(super) const QUESTION: &str = "crate::chosen";

/// A constant that has mutants.
struct Constant {
    file: String,
    name: String,
    mutants: Vec<u32>,
}

/// Instrumented texts by file, and the mutants that are not in them.
pub(super) struct Instrumented {
    pub(super) files: BTreeMap<String, String>,
    pub(super) absent: BTreeSet<u32>,
}

/// Puts `mutants` into `files`, the sources by name, but for those in `without`.
pub(super) fn instrument(
    files: &BTreeMap<String, String>,
    mutants: &[Mutant],
    without: &BTreeSet<u32>,
) -> Result<Instrumented> {
    let mut constants = Vec::new();
    let mut edits = BTreeMap::new();
    let mut trees = BTreeMap::new();
    for (file, text) in files {
        let tree = syn::parse_file(text).with_context(|| format!("{file} is not understood"))?;
        let here: Vec<Place<'_>> = mutants
            .iter()
            .filter(|m| m.file == *file && !without.contains(&m.id))
            .map(|mutant| Place {
                mutant,
                start: mutant.start.offset(text),
                end: mutant.end.offset(text),
            })
            .collect();
        let mut finder = Finder {
            file,
            text,
            here: &here,
            edits: Edits::default(),
            fixed: 0,
            constants: &mut constants,
        };
        finder.simple();
        finder.visit_file(&tree);
        edits.insert(file.clone(), finder.edits);
        trees.insert(file.clone(), tree);
    }
    for (file, tree) in &trees {
        let edits = edits.entry(file.clone()).or_default();
        let mut users = Users {
            file,
            text: files.get(file).map_or("", String::as_str),
            edits,
            fixed: 0,
            constants: &constants,
        };
        users.visit_file(tree);
    }
    let mut done = BTreeSet::new();
    let mut output = BTreeMap::new();
    for (file, text) in files {
        let edits = edits.entry(file.clone()).or_default();
        done.extend(edits.done.iter().copied());
        output.insert(file.clone(), edits.render(text));
    }
    let all = mutants.iter().map(|mutant| mutant.id);
    Ok(Instrumented {
        files: output,
        absent: all.filter(|id| !done.contains(id)).collect(),
    })
}

/// A mutant with its range of bytes.
struct Place<'a> {
    mutant: &'a Mutant,
    start: usize,
    end: usize,
}

/// Start and end: of two that begin together the wider comes first.
type Extent = (usize, Reverse<usize>);

/// Changes of one file.
#[derive(Default)]
struct Edits {
    /// Expressions, and what else each can be.
    wraps: BTreeMap<Extent, Vec<(u32, String)>>,
    /// Texts that are put before an offset.
    inserts: BTreeMap<usize, String>,
    done: BTreeSet<u32>,
}

impl Edits {
    fn wrap(&mut self, range: &Range<usize>, id: u32, text: String) {
        let key = (range.start, Reverse(range.end));
        self.wraps.entry(key).or_default().push((id, text));
        self.done.insert(id);
    }

    fn insert(&mut self, at: usize, id: u32, text: &str) {
        self.inserts.entry(at).or_default().push_str(text);
        self.done.insert(id);
    }

    fn render(&self, text: &str) -> String {
        self.part(text, 0..text.len(), None)
    }

    /// The text of a range; `inside` is the wrap that is being rendered.
    fn part(&self, text: &str, range: Range<usize>, inside: Option<Extent>) -> String {
        let mut output = String::new();
        let mut at = range.start;
        while at < range.end {
            let skip_insert = inside.is_some_and(|(start, _)| start == at);
            if !skip_insert && let Some(insert) = self.inserts.get(&at) {
                output += insert;
            }
            // Of those that begin here the widest that is not around us.
            let outermost = match inside {
                Some(key) if key.0 == at => key.1.0 - 1,
                _ => usize::MAX,
            };
            let limit = outermost.min(range.end);
            let next = self
                .wraps
                .range((at, Reverse(limit))..)
                .next()
                .filter(|((start, end), _)| *start == at && end.0 <= limit);
            if let Some((key, variants)) = next {
                output += &self.wrapped(text, *key, variants);
                at = key.1.0;
            } else {
                let next = (at + 1..=range.end).find(|i| text.is_char_boundary(*i));
                let end = next.unwrap_or(range.end);
                output += text.get(at..end).unwrap_or_default();
                at = end;
            }
        }
        output
    }

    fn wrapped(&self, text: &str, key: Extent, variants: &[(u32, String)]) -> String {
        let mut output = String::from("(");
        for (id, variant) in variants {
            output += &format!("if {QUESTION}({id}) {{ {} }} else ", marked(*id, variant));
        }
        output += "{ ";
        output += &self.part(text, key.0..key.1.0, Some(key));
        output + " })"
    }
}

/// `text` between marks, by which errors of the compiler are traced back.
fn marked(id: u32, text: &str) -> String {
    format!("/*m{id}*/ {text} /*e{id}*/")
}

/// The mutant whose text lies around an offset of an instrumented text.
pub(super) fn mutant_at(text: &str, offset: usize) -> Option<u32> {
    let before = text.get(..offset)?;
    let start = before.rfind("/*m")?;
    let digits = before.get(start + 3..)?.split('*').next()?;
    let end = format!("/*e{digits}*/");
    (!before.get(start..)?.contains(&end)).then(|| digits.parse().ok())?
}

/// Finds the expressions that mutants change.
struct Finder<'a> {
    file: &'a str,
    text: &'a str,
    here: &'a [Place<'a>],
    edits: Edits,
    /// How many places around us must be known at compile time.
    fixed: u32,
    constants: &'a mut Vec<Constant>,
}

impl Finder<'_> {
    fn source(&self, range: &Range<usize>) -> String {
        self.text.get(range.clone()).unwrap_or_default().to_string()
    }

    /// Those that need no syntax tree.
    fn simple(&mut self) {
        for place in self.here {
            let (id, text) = (place.mutant.id, &place.mutant.replacement);
            match place.mutant.genre {
                // Another type of result than the one that has no name.
                Genre::FnValue if place.mutant.returns.contains("impl ") => {}
                Genre::FnValue => {
                    let body = marked(id, &format!("return {text};"));
                    let text = format!("if {QUESTION}({id}) {{ {body} }} ");
                    self.edits.insert(place.start, id, &text);
                }
                Genre::MatchArmGuard => {
                    self.edits.wrap(&(place.start..place.end), id, text.clone());
                }
                _ => {}
            }
        }
    }

    fn at(&self, offset: usize, genre: Genre) -> impl Iterator<Item = &Place<'_>> {
        self.here
            .iter()
            .filter(move |place| place.start == offset && place.mutant.genre == genre)
    }

    fn fixed(&mut self, work: impl FnOnce(&mut Self)) {
        self.fixed += 1;
        work(self);
        self.fixed -= 1;
    }

    /// A sister for each mutant of a constant: its item again with another value.
    fn constant(&mut self, name: &str, item: Range<usize>, value: Range<usize>) {
        let mut found = Vec::new();
        for place in self.here {
            if !value.contains(&place.start) || place.mutant.genre == Genre::FnValue {
                continue;
            }
            let id = place.mutant.id;
            let whole = self.source(&item);
            let from = place.start - item.start;
            let to = place.end - item.start;
            let (Some(before), Some(after)) = (whole.get(..from), whole.get(to..)) else {
                continue;
            };
            let sister = format!("{before}{}{after}", place.mutant.replacement);
            let declared = format!("const {name}");
            let Some(at) = sister.find(&declared) else {
                continue;
            };
            let rest = sister.get(at + declared.len()..).unwrap_or_default();
            let sister = format!("#[doc(hidden)] pub const {}{rest} ", sister_of(id));
            found.push((id, marked(id, &sister)));
        }
        if found.is_empty() {
            return;
        }
        for (id, text) in &found {
            self.edits.insert(item.start, *id, text);
            // It counts as done once somebody uses it.
            self.edits.done.remove(id);
        }
        self.constants.push(Constant {
            file: self.file.to_string(),
            name: name.to_string(),
            mutants: found.into_iter().map(|(id, _)| id).collect(),
        });
    }
}

/// The name of the constant that stands for a mutant.
fn sister_of(id: u32) -> String {
    format!("MUTANT_{id}")
}

/// Whether `let` is among the conditions that a binary expression joins.
fn has_let(expression: &syn::Expr) -> bool {
    match expression {
        syn::Expr::Let(_) => true,
        syn::Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

/// Where the code of an item begins, behind its attributes and comments.
fn item_range(attributes: &[syn::Attribute], whole: Range<usize>) -> Range<usize> {
    let start = attributes
        .iter()
        .map(|a| a.span().byte_range().end)
        .max()
        .unwrap_or(whole.start);
    start.max(whole.start)..whole.end
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        let range = item_range(&item.attrs, item.span().byte_range());
        self.constant(
            &item.ident.to_string(),
            range,
            item.expr.span().byte_range(),
        );
        self.fixed(|finder| visit::visit_item_const(finder, item));
    }
    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        let range = item_range(&item.attrs, item.span().byte_range());
        self.constant(
            &item.ident.to_string(),
            range,
            item.expr.span().byte_range(),
        );
        self.fixed(|finder| visit::visit_impl_item_const(finder, item));
    }
    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.fixed(|finder| visit::visit_item_static(finder, item));
    }
    fn visit_variant(&mut self, item: &'ast syn::Variant) {
        self.fixed(|finder| visit::visit_variant(finder, item));
    }
    fn visit_type(&mut self, item: &'ast syn::Type) {
        self.fixed(|finder| visit::visit_type(finder, item));
    }
    fn visit_generic_argument(&mut self, item: &'ast syn::GenericArgument) {
        self.fixed(|finder| visit::visit_generic_argument(finder, item));
    }
    fn visit_expr_repeat(&mut self, item: &'ast syn::ExprRepeat) {
        self.visit_expr(&item.expr);
        self.fixed(|finder| finder.visit_expr(&item.len));
    }

    fn visit_expr_binary(&mut self, binary: &'ast syn::ExprBinary) {
        let whole = binary.span().byte_range();
        let operator = binary.op.span().byte_range().start;
        let lets = has_let(&binary.left) || has_let(&binary.right);
        if self.fixed == 0 && !lets {
            let left = self.source(&binary.left.span().byte_range());
            let right = self.source(&binary.right.span().byte_range());
            let found: Vec<_> = self
                .at(operator, Genre::BinaryOperator)
                .map(|place| (place.mutant.id, place.mutant.replacement.clone()))
                .collect();
            for (id, other) in found {
                let text = format!("({left}) {other} ({right})");
                self.edits.wrap(&whole, id, text);
            }
        }
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast syn::ExprUnary) {
        let whole = unary.span().byte_range();
        if self.fixed == 0 {
            let operand = self.source(&unary.expr.span().byte_range());
            let found: Vec<_> = self
                .at(whole.start, Genre::UnaryOperator)
                .map(|place| place.mutant.id)
                .collect();
            for id in found {
                self.edits.wrap(&whole, id, operand.clone());
            }
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_arm(&mut self, arm: &'ast syn::Arm) {
        let pattern = arm.pat.span().byte_range();
        let found: Vec<_> = self
            .at(pattern.start, Genre::MatchArm)
            .map(|place| place.mutant.id)
            .collect();
        for id in found {
            match &arm.guard {
                Some((_, guard)) => {
                    let range = guard.span().byte_range();
                    self.edits.wrap(&range, id, String::from("false"));
                }
                None => {
                    let guard = format!(" if !{QUESTION}({id})");
                    self.edits.insert(pattern.end, id, &guard);
                }
            }
        }
        visit::visit_arm(self, arm);
    }

    fn visit_expr_struct(&mut self, expression: &'ast syn::ExprStruct) {
        if let Some(base) = &expression.rest {
            let base = self.source(&base.span().byte_range());
            for field in &expression.fields {
                let whole = field.span().byte_range();
                let value = field.expr.span().byte_range();
                let found: Vec<_> = self
                    .at(whole.start, Genre::StructField)
                    .map(|place| place.mutant.id)
                    .collect();
                let syn::Member::Named(name) = &field.member else {
                    continue;
                };
                for id in found {
                    if field.colon_token.is_none() {
                        self.edits.insert(whole.start, id, &format!("{name}: "));
                    }
                    self.edits.wrap(&value, id, format!("({base}).{name}"));
                }
            }
        }
        visit::visit_expr_struct(self, expression);
    }
}

/// Lets uses of constants choose.
struct Users<'a> {
    file: &'a str,
    text: &'a str,
    edits: &'a mut Edits,
    fixed: u32,
    constants: &'a [Constant],
}

impl Users<'_> {
    fn fixed(&mut self, work: impl FnOnce(&mut Self)) {
        self.fixed += 1;
        work(self);
        self.fixed -= 1;
    }

    /// The constant that `name` means in this file: its own, or the only one of that name.
    fn meant(&self, name: &str) -> Option<&Constant> {
        let named = || self.constants.iter().filter(|c| c.name == name);
        let own = named().find(|constant| constant.file == self.file);
        own.or_else(|| named().next().filter(|_| named().count() == 1))
    }
}

impl<'ast> Visit<'ast> for Users<'_> {
    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.fixed(|users| visit::visit_item_const(users, item));
    }
    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.fixed(|users| visit::visit_impl_item_const(users, item));
    }
    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.fixed(|users| visit::visit_item_static(users, item));
    }
    fn visit_type(&mut self, item: &'ast syn::Type) {
        self.fixed(|users| visit::visit_type(users, item));
    }
    fn visit_generic_argument(&mut self, item: &'ast syn::GenericArgument) {
        self.fixed(|users| visit::visit_generic_argument(users, item));
    }
    fn visit_expr_repeat(&mut self, item: &'ast syn::ExprRepeat) {
        self.visit_expr(&item.expr);
        self.fixed(|users| users.visit_expr(&item.len));
    }
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        // Tests say what a constant is; they do not use it.
        if item.ident != "tests" {
            visit::visit_item_mod(self, item);
        }
    }
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        let Some(last) = path.path.segments.last() else {
            return;
        };
        if self.fixed > 0 {
            return;
        }
        let Some(constant) = self.meant(&last.ident.to_string()) else {
            return;
        };
        let range = path.span().byte_range();
        let name = last.ident.span().byte_range();
        let prefix = self.text.get(range.start..name.start).unwrap_or_default();
        let prefix = if prefix.is_empty() && constant.file != self.file {
            module_of(&constant.file)
        } else {
            prefix.to_string()
        };
        for id in constant.mutants.clone() {
            let text = format!("{prefix}{}", sister_of(id));
            self.edits.wrap(&range, id, text);
        }
    }
}

/// `crate::object::tcb::` for `object/tcb.rs`.
fn module_of(file: &str) -> String {
    let path = file.trim_end_matches(".rs").replace('/', "::");
    format!("crate::{path}::")
}
