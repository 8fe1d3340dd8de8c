//! What the server's protocol reads, less all that needs a connection.

#[path = "../../../host/src/protocol/batch.rs"]
pub mod batch;
#[path = "../../../host/src/protocol/credentials.rs"]
pub mod credentials;
#[path = "../../../host/src/protocol/frames.rs"]
pub mod frames;
#[path = "../../../host/src/protocol/payload.rs"]
pub mod payload;
#[path = "../../../host/src/protocol/plain.rs"]
pub mod plain;
#[path = "../../../host/src/protocol/query.rs"]
pub mod query;
