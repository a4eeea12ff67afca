//! `idlc fmt`: one layout for every file.
//!
//! Works on tokens, comments included, grouped by brackets; so nothing that was
//! written is lost, and the meaning stays what it was because the sequence of
//! tokens does (commas behind last members aside). Only files without syntax
//! errors are formatted.

use crate::diag::Diagnostics;
use crate::lex::{Token, TokenKind as K, lex};
use crate::parse::parse;
use crate::source::{FileId, SourceFile};

/// Columns that a line should not exceed.
const WIDTH: usize = 100;
const INDENT: usize = 4;

/// Formats a file.
///
/// # Errors
/// The diagnostics, if the file has syntax errors.
pub fn format(id: FileId, source: &SourceFile) -> Result<String, Diagnostics> {
    let mut diagnostics = Diagnostics::default();
    parse(id, source, &mut diagnostics);
    if diagnostics.has_errors() {
        return Err(diagnostics);
    }
    let tokens = lex(id, &source.text, &mut diagnostics);
    let mut reader = Reader {
        text: &source.text,
        tokens,
        position: 0,
    };
    let items = reader.items(K::End);
    let mut out = String::new();
    top_level(&items, &mut out);
    Ok(out)
}

/// A declaration, member or parameter with what stands before and behind it.
#[derive(Default)]
struct Item<'a> {
    /// Whether a blank line was before it.
    blank: bool,
    /// Comments, docs and attributes, a line each.
    leading: Vec<String>,
    nodes: Vec<Node<'a>>,
    end: Option<K>,
    /// A comment on the line on which it ends.
    trailing: Option<&'a str>,
}

enum Node<'a> {
    Token(K, &'a str),
    Parens(Vec<Item<'a>>),
    Braces(Vec<Item<'a>>),
}

impl Item<'_> {
    fn has_braces(&self) -> bool {
        self.nodes
            .iter()
            .any(|node| matches!(node, Node::Braces(_)))
    }

    fn starts_with(&self, word: &str) -> bool {
        matches!(self.nodes.first(), Some(Node::Token(K::Word, text)) if *text == word)
    }

    fn is_plain(&self) -> bool {
        self.leading.is_empty() && self.trailing.is_none()
    }
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    position: usize,
}

impl<'a> Reader<'a> {
    fn kind(&self) -> K {
        self.tokens[self.position].kind
    }

    fn bump(&mut self) -> (K, &'a str) {
        let token = self.tokens[self.position];
        if token.kind != K::End {
            self.position += 1;
        }
        (
            token.kind,
            self.text[token.span.start as usize..token.span.end as usize].trim_end(),
        )
    }

    /// Line ends between the token before and the current one.
    fn line_ends(&self) -> usize {
        let Some(before) = self.position.checked_sub(1) else {
            return 0;
        };
        let gap =
            self.tokens[before].span.end as usize..self.tokens[self.position].span.start as usize;
        self.text[gap].bytes().filter(|byte| *byte == b'\n').count()
    }

    /// Items up to `close`, which is left to the caller.
    fn items(&mut self, close: K) -> Vec<Item<'a>> {
        let mut items = Vec::new();
        loop {
            let mut item = Item {
                blank: self.line_ends() > 1,
                ..Item::default()
            };
            self.leading(&mut item);
            if self.kind() == close || self.kind() == K::End {
                // Comments behind the last item stand alone.
                if !item.leading.is_empty() {
                    items.push(item);
                }
                return items;
            }
            self.body(&mut item, close);
            if self.kind() == K::Comment && self.line_ends() == 0 {
                item.trailing = Some(self.bump().1);
            }
            items.push(item);
        }
    }

    fn leading(&mut self, item: &mut Item<'a>) {
        loop {
            match self.kind() {
                K::Comment | K::Doc => item.leading.push(self.bump().1.to_owned()),
                K::At => {
                    let mut nodes = vec![self.token(), self.token()];
                    if self.kind() == K::OpenParen {
                        self.bump();
                        nodes.push(Node::Parens(self.items(K::CloseParen)));
                        self.bump();
                    }
                    hoist(&mut nodes, &mut item.leading);
                    item.leading.push(flat(&nodes));
                }
                _ => return,
            }
        }
    }

    fn token(&mut self) -> Node<'a> {
        let (kind, text) = self.bump();
        Node::Token(kind, text)
    }

    /// The tokens of an item, up to and with its end.
    fn body(&mut self, item: &mut Item<'a>, close: K) {
        let mut inner = 0_u32;
        loop {
            match self.kind() {
                K::End => return,
                // What stands in the middle of an item goes before it.
                K::Comment | K::Doc => item.leading.push(self.bump().1.to_owned()),
                kind @ (K::Semicolon | K::Comma) if inner == 0 => {
                    self.bump();
                    item.end = Some(kind);
                    return;
                }
                kind if kind == close && inner == 0 => return,
                K::OpenParen => {
                    self.bump();
                    let items = self.items(K::CloseParen);
                    self.bump();
                    item.nodes.push(Node::Parens(items));
                }
                K::OpenBrace => {
                    self.bump();
                    let items = self.items(K::CloseBrace);
                    self.bump();
                    item.nodes.push(Node::Braces(items));
                    return;
                }
                kind => {
                    match kind {
                        K::OpenBracket | K::Less => inner += 1,
                        K::CloseBracket | K::Greater => inner = inner.saturating_sub(1),
                        _ => {}
                    }
                    item.nodes.push(self.token());
                }
            }
        }
    }
}

/// Takes comments out of nodes that must stay on one line.
fn hoist(nodes: &mut [Node<'_>], leading: &mut Vec<String>) {
    for node in nodes {
        if let Node::Parens(items) | Node::Braces(items) = node {
            for item in items.iter_mut() {
                leading.append(&mut item.leading);
                leading.extend(item.trailing.take().map(str::to_owned));
                hoist(&mut item.nodes, leading);
            }
            items.retain(|item| !item.nodes.is_empty());
        }
    }
}

fn top_level(items: &[Item<'_>], out: &mut String) {
    for (i, item) in items.iter().enumerate() {
        let apart = i
            .checked_sub(1)
            .map(|before| &items[before])
            .is_some_and(|before| {
                item.blank
                    || before.has_braces()
                    || item.has_braces()
                    || before.starts_with("package")
            });
        if apart {
            out.push('\n');
        }
        print_item(item, 0, None, out);
    }
}

/// Prints an item on lines of its own; `missing` is the end it gets if it has
/// none.
fn print_item(item: &Item<'_>, indent: usize, missing: Option<K>, out: &mut String) {
    let margin = " ".repeat(indent);
    for line in &item.leading {
        push_line(out, &margin, line);
    }
    if item.nodes.is_empty() {
        return;
    }
    let end = match item.end.or(missing) {
        Some(K::Comma) => ",",
        Some(K::Semicolon) => ";",
        _ => "",
    };
    let trailing = item
        .trailing
        .map(|comment| format!(" {comment}"))
        .unwrap_or_default();
    let parens: Vec<usize> = item
        .nodes
        .iter()
        .zip(0..)
        .filter(|(node, _)| matches!(node, Node::Parens(items) if !items.is_empty()))
        .map(|(_, i)| i)
        .collect();
    let forced: Vec<usize> = parens
        .iter()
        .copied()
        .filter(|i| is_broken(&item.nodes[*i]))
        .collect();
    // The first way of breaking that keeps lines short; all of them if none does.
    let mut ways = vec![forced.clone()];
    ways.extend(parens.iter().rev().map(|one| {
        let mut way = forced.clone();
        way.push(*one);
        way
    }));
    ways.push(parens);
    let mut text = String::new();
    for way in ways {
        text = lay_out(&item.nodes, indent, &way);
        let last = text.lines().last().map_or(0, |line| line.chars().count());
        if last + end.len() <= WIDTH && text.lines().all(|line| line.chars().count() <= WIDTH) {
            break;
        }
    }
    out.push_str(&text);
    out.push_str(end);
    out.push_str(&trailing);
    out.push('\n');
}

fn push_line(out: &mut String, margin: &str, line: &str) {
    out.push_str(margin);
    out.push_str(line);
    out.push('\n');
}

/// Whether a group of parameters needs a line for each.
fn is_broken(node: &Node<'_>) -> bool {
    matches!(node, Node::Parens(items) if items.iter().any(|item| !item.is_plain()))
}

/// Nodes as text that starts with the margin; the groups at `broken` have their
/// items on lines of their own, bodies in braces always.
fn lay_out(nodes: &[Node<'_>], indent: usize, broken: &[usize]) -> String {
    let margin = " ".repeat(indent);
    let mut out = margin.clone();
    let mut before = None;
    for (i, node) in nodes.iter().enumerate() {
        match node {
            Node::Parens(items) if broken.contains(&i) => {
                if needs_space(before, K::OpenParen, nodes, i) {
                    out.push(' ');
                }
                out.push_str("(\n");
                items
                    .iter()
                    .for_each(|item| print_item(item, indent + INDENT, Some(K::Comma), &mut out));
                out.push_str(&margin);
                out.push(')');
                before = Some(K::CloseParen);
            }
            Node::Braces(items) if items.is_empty() => out.push_str(" {}"),
            Node::Braces(items) => {
                out.push_str(" {\n");
                for (i, item) in items.iter().enumerate() {
                    if item.blank && i > 0 {
                        out.push('\n');
                    }
                    print_item(item, indent + INDENT, Some(K::Comma), &mut out);
                }
                out.push_str(&margin);
                out.push('}');
            }
            _ => push_flat(node, &mut before, nodes, i, &mut out),
        }
    }
    out
}

/// Nodes on one line.
fn flat(nodes: &[Node<'_>]) -> String {
    let mut out = String::new();
    let mut before = None;
    for (i, node) in nodes.iter().enumerate() {
        push_flat(node, &mut before, nodes, i, &mut out);
    }
    out
}

fn push_flat(
    node: &Node<'_>,
    before: &mut Option<K>,
    nodes: &[Node<'_>],
    i: usize,
    out: &mut String,
) {
    let (kind, last) = match node {
        Node::Token(kind, _) => (*kind, *kind),
        Node::Parens(_) => (K::OpenParen, K::CloseParen),
        Node::Braces(_) => (K::OpenBrace, K::CloseBrace),
    };
    if needs_space(*before, kind, nodes, i) {
        out.push(' ');
    }
    match node {
        Node::Token(_, text) => out.push_str(text),
        Node::Parens(items) | Node::Braces(items) => {
            out.push('(');
            let inside: Vec<_> = items.iter().map(|item| flat(&item.nodes)).collect();
            out.push_str(&inside.join(", "));
            out.push(')');
        }
    }
    *before = Some(last);
}

/// Whether a space stands between two tokens of a line.
fn needs_space(before: Option<K>, next: K, nodes: &[Node<'_>], i: usize) -> bool {
    let Some(before) = before else { return false };
    match (before, next) {
        (K::OpenBracket | K::Less | K::Dot | K::At | K::OpenParen, _) => false,
        (_, K::Comma | K::Semicolon | K::Colon | K::Question | K::Dot) => false,
        (_, K::CloseBracket | K::Greater | K::CloseParen | K::Less) => false,
        (K::Word, K::OpenParen) => false,
        // A sign belongs to its number.
        (K::Minus, _) => i.checked_sub(2).is_some_and(|i| ends_value(&nodes[i])),
        _ => true,
    }
}

fn ends_value(node: &Node<'_>) -> bool {
    matches!(
        node,
        Node::Token(K::Word | K::Number | K::Text, _) | Node::Parens(_)
    )
}
