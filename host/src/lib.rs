//! Volley
mod router;
