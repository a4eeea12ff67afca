//! gritos-board.
