//! Command lines.
//!
//! ```text
//! line     = [ pipeline { ( ';' | '&&' | '||' ) pipeline } [ ';' ] ] [ '#' comment ]
//! pipeline = command { '|' command }
//! command  = { word | ( '>' | '>>' | '<' ) word }
//! ```
//!
//! A word may contain `'text as it is'`, `"text with \" \\ \$ and $?"` and `\c` for any character. `$?` is the status of the last
//! command.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// Most words and redirections of a line.
pub const WORD_LIMIT: usize = 512;

/// A part of a word.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Status,
}

/// A word, whose value depends on the status of the last command if it has `$?` in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word(Vec<Piece>);

impl Word {
    /// What it stands for.
    #[must_use]
    pub fn value(&self, status: u8) -> String {
        let mut value = String::new();
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => value.push_str(text),
                Piece::Status => value.push_str(&alloc::format!("{status}")),
            }
        }
        value
    }

    fn push(&mut self, c: char) {
        match self.0.last_mut() {
            Some(Piece::Text(text)) => text.push(c),
            _ => self.0.push(Piece::Text(c.into())),
        }
    }
}

/// What a command does with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// `<`: its input comes from there.
    From,
    /// `>`: its output goes there.
    To,
    /// `>>`: its output goes to the end of it.
    Append,
}

/// One command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Simple {
    /// Its name and arguments.
    pub words: Vec<Word>,
    /// Its files.
    pub redirections: Vec<(Direction, Word)>,
}

/// What decides whether a pipeline runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// It does.
    Always,
    /// The one before succeeded.
    Success,
    /// The one before failed.
    Failure,
}

/// Commands whose outputs are the inputs of the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pipeline {
    /// Whether it runs.
    pub condition: Condition,
    /// The commands; at least one.
    pub commands: Vec<Simple>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    /// Column, counted from 1.
    pub column: usize,
    /// What was found there, and what would do.
    pub what: &'static str,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.what)
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Word(Word),
    Redirect(Direction),
    Pipe,
    And(Condition),
}

/// Reads a line.
///
/// # Errors
/// Where and why it cannot be understood.
pub fn parse(line: &str) -> Result<Vec<Pipeline>, ParseError> {
    let tokens = tokens(line)?;
    let (mut pipelines, mut commands, mut simple) = (Vec::new(), Vec::new(), Simple::default());
    let mut condition = Condition::Always;
    let mut redirect: Option<(usize, Direction)> = None;
    // A pipeline must follow.
    let mut open: Option<usize> = None;
    let end = line.chars().count() + 1;
    for (column, token) in tokens {
        match (token, redirect.take()) {
            (Token::Word(word), Some((_, direction))) => {
                simple.redirections.push((direction, word))
            }
            (_, Some((column, _))) => {
                return Err(error(
                    column,
                    "a redirection needs the name of a file behind it",
                ));
            }
            (Token::Word(word), None) => simple.words.push(word),
            (Token::Redirect(direction), None) => redirect = Some((column, direction)),
            (Token::Pipe | Token::And(_), None) if simple.words.is_empty() => {
                return Err(error(column, "there is no command before this"));
            }
            (Token::Pipe, None) => {
                commands.push(core::mem::take(&mut simple));
                open = Some(column);
                continue;
            }
            (Token::And(next), None) => {
                commands.push(core::mem::take(&mut simple));
                let commands = core::mem::take(&mut commands);
                pipelines.push(Pipeline {
                    condition,
                    commands,
                });
                condition = next;
                open = (next != Condition::Always).then_some(column);
                continue;
            }
        }
        open = None;
    }
    if let Some((column, _)) = redirect {
        return Err(error(
            column,
            "a redirection needs the name of a file behind it",
        ));
    }
    if let Some(column) = open {
        return Err(error(column, "there is no command behind this"));
    }
    if simple.words.is_empty() && (!simple.redirections.is_empty() || !commands.is_empty()) {
        return Err(error(end, "a redirection needs a command"));
    }
    if !simple.words.is_empty() {
        commands.push(simple);
        pipelines.push(Pipeline {
            condition,
            commands,
        });
    }
    Ok(pipelines)
}

const fn error(column: usize, what: &'static str) -> ParseError {
    ParseError { column, what }
}

/// The word that is being typed at the end of a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unfinished {
    /// Column at which it begins, counted from 0.
    pub start: usize,
    /// What it stands for so far.
    pub value: String,
    /// The words of its command before it.
    pub before: Vec<String>,
    /// Whether it names a file of a redirection.
    pub redirected: bool,
}

/// Looks at the end of a line as far as it was typed.
#[must_use]
pub fn unfinished(line: &str) -> Unfinished {
    let mut lexer = Lexer::new(line);
    let mut at = Unfinished::default();
    loop {
        lexer.skip_blanks();
        let start = lexer.column;
        if lexer.peek().is_none() {
            at.start = start;
            at.value.clear();
            return at;
        }
        let word = match lexer.token() {
            Ok(Token::Word(word)) => word,
            Ok(Token::Redirect(_)) => {
                at.redirected = true;
                continue;
            }
            Ok(_) => {
                at = Unfinished::default();
                continue;
            }
            // An open quotation is a word that goes on.
            Err(_) => core::mem::take(&mut lexer.partial),
        };
        if lexer.peek().is_none() {
            (at.start, at.value) = (start, word.value(0));
            return at;
        }
        if !core::mem::take(&mut at.redirected) && at.before.len() < WORD_LIMIT {
            at.before.push(word.value(0));
        }
    }
}

/// `text` such that it is one word of a line.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut result = String::new();
    for c in text.chars() {
        if c.is_whitespace() || "'\"\\$;&|<>#".contains(c) {
            result.push('\\');
        }
        result.push(c);
    }
    result
}

fn tokens(line: &str) -> Result<Vec<(usize, Token)>, ParseError> {
    let mut lexer = Lexer::new(line);
    let mut tokens = Vec::new();
    loop {
        lexer.skip_blanks();
        if matches!(lexer.peek(), None | Some('#')) {
            return Ok(tokens);
        }
        let column = lexer.column + 1;
        if tokens.len() >= WORD_LIMIT {
            return Err(error(column, "too many words; a line has at most 512"));
        }
        tokens.push((column, lexer.token()?));
    }
}

struct Lexer<'a> {
    chars: core::iter::Peekable<core::str::Chars<'a>>,
    column: usize,
    /// The word in hand when an error was found.
    partial: Word,
}

impl<'a> Lexer<'a> {
    fn new(line: &'a str) -> Self {
        Self {
            chars: line.chars().peekable(),
            column: 0,
            partial: Word::default(),
        }
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.chars.next();
        self.column += usize::from(next.is_some());
        next
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.peek() == Some(wanted);
        if found {
            self.next();
        }
        found
    }

    fn skip_blanks(&mut self) {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
    }

    /// The next token, of which there is one.
    fn token(&mut self) -> Result<Token, ParseError> {
        let column = self.column + 1;
        match self.peek() {
            Some(';') => {
                self.next();
                Ok(Token::And(Condition::Always))
            }
            Some('|') => {
                self.next();
                Ok(if self.eat('|') {
                    Token::And(Condition::Failure)
                } else {
                    Token::Pipe
                })
            }
            Some('&') => {
                self.next();
                if self.eat('&') {
                    Ok(Token::And(Condition::Success))
                } else {
                    Err(error(
                        column,
                        "`&` alone means nothing here: there are no background commands; `&&` or `\\&`",
                    ))
                }
            }
            Some('<') => {
                self.next();
                Ok(Token::Redirect(Direction::From))
            }
            Some('>') => {
                self.next();
                Ok(Token::Redirect(if self.eat('>') {
                    Direction::Append
                } else {
                    Direction::To
                }))
            }
            _ => self.word().map(Token::Word),
        }
    }

    fn word(&mut self) -> Result<Word, ParseError> {
        self.partial = Word::default();
        while let Some(c) = self.peek() {
            let column = self.column + 1;
            match c {
                '\'' => {
                    self.next();
                    self.single(column)?;
                }
                '"' => {
                    self.next();
                    self.double(column)?;
                }
                '\\' => {
                    self.next();
                    let Some(c) = self.next() else {
                        return Err(error(column, "a `\\` needs a character behind it"));
                    };
                    self.partial.push(c);
                }
                '$' => self.variable()?,
                ';' | '|' | '&' | '<' | '>' => break,
                c if c.is_whitespace() => break,
                c => {
                    self.next();
                    self.partial.push(c);
                }
            }
        }
        Ok(core::mem::take(&mut self.partial))
    }

    /// Text up to the closing quotation mark; an empty one makes a word, too.
    fn single(&mut self, column: usize) -> Result<(), ParseError> {
        self.partial.0.push(Piece::Text(String::new()));
        loop {
            match self.next() {
                Some('\'') => return Ok(()),
                Some(c) => self.partial.push(c),
                None => return Err(error(column, "this `'` is not closed by another")),
            }
        }
    }

    fn double(&mut self, column: usize) -> Result<(), ParseError> {
        self.partial.0.push(Piece::Text(String::new()));
        loop {
            match self.peek() {
                Some('"') => {
                    self.next();
                    return Ok(());
                }
                Some('$') => self.variable()?,
                Some('\\') => {
                    self.next();
                    match self.next() {
                        Some(c @ ('"' | '\\' | '$')) => self.partial.push(c),
                        Some(c) => {
                            self.partial.push('\\');
                            self.partial.push(c);
                        }
                        None => {}
                    }
                }
                Some(c) => {
                    self.next();
                    self.partial.push(c);
                }
                None => return Err(error(column, "this `\"` is not closed by another")),
            }
        }
    }

    fn variable(&mut self) -> Result<(), ParseError> {
        self.next();
        let column = self.column;
        match self.peek() {
            Some('?') => {
                self.next();
                self.partial.0.push(Piece::Status);
                Ok(())
            }
            Some(c) if c.is_alphanumeric() || "_{(@*#!".contains(c) => Err(error(
                column,
                "there are no variables but `$?`; a `$` itself is `\\$`",
            )),
            _ => {
                self.partial.push('$');
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests;
