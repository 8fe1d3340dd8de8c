//! What README.md shows.

use serde_json::json;
use volley_client::{Heard, connect};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("http://127.0.0.1:8080".into());
    let (ann, mut hearing) = connect(url.parse()?, "ann", &["chat.club"]).await?;
    ann.publish("chat.club", &json!({"say": "hello"})).await?;
    loop {
        match hearing.next().await? {
            Heard::Message { data, .. } if data["said"].is_object() => break println!("{}", data["said"]),
            _ => {}
        }
    }
    ann.close().await?;
    Ok(())
}
