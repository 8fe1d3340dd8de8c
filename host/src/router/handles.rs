//! What the handles of rules stand for. The generated code names them as public.

use crate::groups::Scope;
use crate::tables::Table;
use std::sync::Arc;

/// A table that a rule opened.
#[allow(unreachable_pub)]
pub struct OpenTable(pub(super) Arc<Table>);

/// A scope of groups that a rule opened.
#[allow(unreachable_pub)]
pub struct OpenScope(pub(super) Arc<Scope>);
