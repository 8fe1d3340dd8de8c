//! A chat in the terminal, line by line: `cargo run -p volley-client --example terminal -- http://127.0.0.1:8080 ann lobby`

use serde_json::json;
use std::error::Error;
use tokio::sync::mpsc;
use volley_client::{Heard, Hearer, connect};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, user, room] = &arguments[..] else { return Err("terminal URL USER ROOM".into()) };
    let topic = format!("chat.{room}");
    let (speaker, hearer) = connect(url.parse()?, user, &[&topic]).await?;
    let mut lines = lines_of_stdin();
    let listening = tokio::spawn(listen(hearer));
    while let Some(line) = lines.recv().await {
        if let Err(refused) = speaker.publish(&topic, &json!({ "say": line })).await {
            println!("* {refused}");
        }
    }
    listening.abort();
    Ok(speaker.close().await?)
}

async fn listen(mut hearer: Hearer) {
    loop {
        match hearer.next().await {
            Ok(Heard::Message { data, .. }) => match (data["said"]["user"].as_str(), data["said"]["text"].as_str()) {
                (Some(user), Some(text)) => println!("{user}: {text}"),
                _ => println!("* {data}"),
            },
            Ok(Heard::Gap(missing)) => println!("* {}", json!({ "gap": missing })),
            Err(error) => return println!("* {error}"),
        }
    }
}

/// A thread waits for them: a terminal can't be waited for together with a server.
fn lines_of_stdin() -> mpsc::Receiver<String> {
    let (sender, lines) = mpsc::channel(1);
    std::thread::spawn(move || {
        std::io::stdin().lines().map_while(Result::ok).try_for_each(|line| sender.blocking_send(line))
    });
    lines
}
