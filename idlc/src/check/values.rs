//! Constant values.

use super::{Checker, Progress, Symbol};
use crate::ast::{DeclarationKind, Expr, ExprKind, Operator, Type, TypeKind};
use crate::codes;
use crate::diag::Diagnostic;
use crate::ir::{ConstantType, Int, Value};
use crate::source::Span;

impl Checker<'_> {
    /// The type of a constant.
    pub(super) fn constant_type(&mut self, ty: &Type) -> Option<ConstantType> {
        if let TypeKind::Named(path) = &ty.kind
            && path.qualifier.is_none()
        {
            if path.name.text == "bool" {
                return Some(ConstantType::Bool);
            }
            if let Some(int) = Int::from_name(&path.name.text) {
                return Some(ConstantType::Int(int));
            }
        }
        if let TypeKind::Text(_) = &ty.kind {
            return Some(ConstantType::Text);
        }
        self.error(
            Diagnostic::error(
                codes::TYPE_PLACE,
                ty.span,
                "a constant cannot have this type",
            )
            .label("not an integer, `bool` or text")
            .help("constants are integers, `bool` or `string<n>`"),
        );
        None
    }

    /// The value of a declared constant, computed once.
    pub(super) fn constant(&mut self, symbol: Symbol) -> Option<Value> {
        match self.values.get(&symbol) {
            Some(Progress::Done(value)) => return value.clone(),
            Some(Progress::Running) => {
                let name = &self.declaration(symbol).name;
                let message = format!("the value of `{}` needs itself", name.text);
                self.error(
                    Diagnostic::error(codes::CONSTANT_CYCLE, name.span, message)
                        .label("part of a circle"),
                );
                return None;
            }
            None => {}
        }
        // A chain of constants as long as the program would otherwise be a recursion as deep.
        let running = self
            .values
            .values()
            .filter(|p| matches!(p, Progress::Running))
            .count();
        if running > 200 {
            let name = &self.declaration(symbol).name;
            let message = "more than 200 constants in a row need each other";
            self.error(
                Diagnostic::error(codes::TOO_DEEP, name.span, message)
                    .label("the limit is reached here"),
            );
            return None;
        }
        self.values.insert(symbol, Progress::Running);
        let value = self.compute(symbol);
        self.values.insert(symbol, Progress::Done(value.clone()));
        value
    }

    fn compute(&mut self, symbol: Symbol) -> Option<Value> {
        let DeclarationKind::Const { ty, value } = &self.declaration(symbol).kind else {
            return None;
        };
        let computed = self.value(symbol.0, value)?;
        let kind = match &ty.kind {
            TypeKind::Text(limit) => {
                let limit = self.length(symbol.0, limit, "the length of a text")?;
                if let Value::Text(text) = &computed
                    && text.len() > limit as usize
                {
                    let message =
                        format!("the text has {} bytes, its type allows {limit}", text.len());
                    self.error(
                        Diagnostic::error(codes::OUT_OF_RANGE, value.span, message)
                            .label("too long"),
                    );
                    return None;
                }
                ConstantType::Text
            }
            _ => self.constant_type(ty)?,
        };
        match (kind, &computed) {
            (ConstantType::Int(int), Value::Int(number)) => {
                self.check_range(*number, int, value.span)?;
            }
            (ConstantType::Bool, Value::Bool(_)) | (ConstantType::Text, Value::Text(_)) => {}
            _ => {
                let message = format!("the value is {}, the type is another", describe(&computed));
                self.error(
                    Diagnostic::error(codes::BAD_VALUE, value.span, message)
                        .label(describe(&computed))
                        .related(ty.span, "the type is given here"),
                );
                return None;
            }
        }
        Some(computed)
    }

    pub(super) fn check_range(&mut self, value: i128, int: Int, span: Span) -> Option<i128> {
        let (low, high) = int.range();
        if (low..=high).contains(&value) {
            return Some(value);
        }
        let message = format!("{value} does not fit in `{}`", int.name());
        self.error(
            Diagnostic::error(codes::OUT_OF_RANGE, span, message)
                .label("out of range")
                .help(format!("accepted are {low} to {high}")),
        );
        None
    }

    /// An integer.
    pub(super) fn integer(&mut self, file: usize, expr: &Expr) -> Option<i128> {
        match self.value(file, expr)? {
            Value::Int(value) => Some(value),
            other => {
                let message = format!("expected an integer, found {}", describe(&other));
                self.error(
                    Diagnostic::error(codes::BAD_VALUE, expr.span, message).label("not an integer"),
                );
                None
            }
        }
    }

    /// A length: 1 to 1 MiB.
    pub(super) fn length(&mut self, file: usize, expr: &Expr, what: &str) -> Option<u32> {
        let value = self.integer(file, expr)?;
        if value == 0 {
            let message = format!("{what} must not be zero");
            self.error(
                Diagnostic::error(codes::ZERO, expr.span, message)
                    .label("zero")
                    .help("1 is the least"),
            );
            return None;
        }
        match u32::try_from(value) {
            Ok(value) if value <= 1 << 20 => Some(value),
            _ => {
                let message = format!("{what} cannot be {value}");
                let help = "accepted are 1 to 1048576; more than that lies in a buffer";
                self.error(
                    Diagnostic::error(codes::OUT_OF_RANGE, expr.span, message)
                        .label("out of range")
                        .help(help),
                );
                None
            }
        }
    }

    /// Computes a value.
    fn value(&mut self, file: usize, expr: &Expr) -> Option<Value> {
        match &expr.kind {
            ExprKind::Int(value) => Some(Value::Int(*value)),
            ExprKind::Text(text) => Some(Value::Text(text.clone())),
            ExprKind::Duration(_) => {
                let message = "a duration is no value here";
                self.error(
                    Diagnostic::error(codes::BAD_VALUE, expr.span, message)
                        .label("has a unit")
                        .help("only `@deadline` takes a duration"),
                );
                None
            }
            ExprKind::Name(path) if path.qualifier.is_none() && path.name.text == "true" => {
                Some(Value::Bool(true))
            }
            ExprKind::Name(path) if path.qualifier.is_none() && path.name.text == "false" => {
                Some(Value::Bool(false))
            }
            ExprKind::Name(path) => {
                let symbol = self.resolve(file, path, "constant")?;
                if !matches!(self.declaration(symbol).kind, DeclarationKind::Const { .. }) {
                    self.wrong_kind(path.span(), symbol, "a constant");
                    return None;
                }
                self.constant(symbol)
            }
            ExprKind::Negate(inner) => {
                let value = self.integer(file, inner)?;
                self.bounded(Some(-value), expr.span)
            }
            ExprKind::Binary(operator, left, right) => {
                let (a, b) = (self.integer(file, left), self.integer(file, right));
                let (a, b) = (a?, b?);
                let result = match operator {
                    Operator::Or => Some(a | b),
                    Operator::Add => a.checked_add(b),
                    Operator::Subtract => a.checked_sub(b),
                    Operator::Multiply => a.checked_mul(b),
                    Operator::Shift if (0..64).contains(&b) => a.checked_shl(b as u32),
                    Operator::Shift => {
                        let message = format!("cannot shift by {b}");
                        self.error(
                            Diagnostic::error(codes::BAD_VALUE, right.span, message)
                                .label("out of range")
                                .help("accepted are 0 to 63"),
                        );
                        return None;
                    }
                };
                self.bounded(result, expr.span)
            }
        }
    }

    fn bounded(&mut self, value: Option<i128>, span: Span) -> Option<Value> {
        match value {
            Some(value) if value.unsigned_abs() <= u128::from(u64::MAX) => Some(Value::Int(value)),
            _ => {
                let message = "the result does not fit in 64 bits";
                self.error(Diagnostic::error(codes::BAD_VALUE, span, message).label("too large"));
                None
            }
        }
    }
}

fn describe(value: &Value) -> &'static str {
    match value {
        Value::Bool(_) => "a `bool`",
        Value::Int(_) => "an integer",
        Value::Text(_) => "a text",
    }
}
