//! The servers of others: where they are on this machine, and how they are started, from the configurations in `peers/`.
//! What is not installed is told with what would install it.

use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::child::{Shape, System, words};
use crate::dialect::Dialect;
use crate::process;

const NCHAN_CONFIG: &str = include_str!("../peers/nchan.conf");
const CHAT_PEER: &str = include_str!("../peers/chat_peer.erl");
/// Where nginx lies beside the folders of `PATH`, in which those of administrators often are not.
const ADMINISTRATORS_FOLDERS: [&str; 2] = ["/usr/sbin", "/usr/local/sbin"];
const NGINX_MODULES: [&str; 3] = ["/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules"];
/// More processes than twice the connections that may be. Schedulers that wait by spinning would take the driver's cores,
/// and what they spin would count as work: without, it routes 20 % more here.
const ERL_FLAGS: [&str; 11] =
    ["+K", "true", "+P", "262144", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none", "-noshell"];
const INSTALL_NCHAN: &str = "apt-get install nginx libnginx-mod-nchan";
const INSTALL_ERLANG: &str = "apt-get install erlang-base erlang-inets erlang-mochiweb";

/// A folder for what the peers are started from; gone when this is dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("volley-load-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| path.display().to_string())?;
        Ok(Self(path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        let path = self.0.join(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What is left lies in the folder for what is temporary.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Nchan with so many workers of nginx.
pub(crate) fn nchan(folder: &Folder, name: &'static str, workers: u32) -> Result<System> {
    let nginx = find_program("nginx").with_context(|| format!("no nginx; {INSTALL_NCHAN}"))?;
    let module = NGINX_MODULES.iter().map(|modules| Path::new(modules).join("ngx_nchan_module.so"));
    let module = module.into_iter().find(|path| path.exists());
    let module = module.with_context(|| format!("nginx has no module of Nchan; {INSTALL_NCHAN}"))?;
    let own = folder.0.join(name);
    fs::create_dir(&own)?;
    let listen = free_address()?;
    let config = fill(
        NCHAN_CONFIG,
        &[
            ("module", text(&module)?),
            ("folder", text(&own)?),
            ("workers", &workers.to_string()),
            ("files", &process::file_limit().to_string()),
            ("port", &listen.port().to_string()),
        ],
    )?;
    let config = folder.write(&format!("{name}.conf"), &config)?;
    let arguments = words(&["-p", text(&own)?, "-e", "stderr", "-c", text(&config)?]);
    // Told now rather than in the middle of a comparison.
    let tested = Command::new(&nginx).arg("-t").args(&arguments).output()?;
    ensure!(tested.status.success(), "nginx refuses the config: {}", String::from_utf8_lossy(&tested.stderr));
    Ok(System { name, dialect: Dialect::Nchan, program: nginx, arguments, shape: Shape::ListensAt(listen), tls: None })
}

/// The seed's design in Erlang, with that way of routing.
pub(crate) fn erlang(folder: &Folder, name: &'static str, route: &str) -> Result<System> {
    let found = find_program("erl").zip(find_program("erlc"));
    let (erl, erlc) = found.with_context(|| format!("no erl and erlc; {INSTALL_ERLANG}"))?;
    let has = "case [M || M <- [mochiweb_http, httpd_util], code:which(M) =:= non_existing] of \
               [] -> halt(0); _ -> halt(1) end.";
    let has = Command::new(&erl).args(["-noshell", "-eval", has]).output()?;
    ensure!(has.status.success(), "Erlang has no mochiweb or no inets; {INSTALL_ERLANG}");
    if !folder.0.join("chat_peer.beam").exists() {
        let source = folder.write("chat_peer.erl", CHAT_PEER)?;
        let compiled = Command::new(erlc).arg("-o").arg(&folder.0).arg(source).output()?;
        if !compiled.status.success() {
            bail!("chat_peer.erl does not compile: {}", String::from_utf8_lossy(&compiled.stdout));
        }
    }
    let mut arguments = words(&ERL_FLAGS);
    arguments.extend(words(&["-pa", text(&folder.0)?, "-s", "chat_peer", "main", "-extra", route]));
    Ok(System { name, dialect: Dialect::Volley, program: erl, arguments, shape: Shape::Tells, tls: None })
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(ADMINISTRATORS_FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(name)).find(|program| program.is_file())
}

/// An address that nothing listens at. Somebody may take it before the peer does; it then says so and ends.
fn free_address() -> Result<SocketAddrV4> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    Ok(SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr()?.port()))
}

/// The text with each `%name%` replaced.
fn fill(text: &str, values: &[(&str, &str)]) -> Result<String> {
    let mut filled = text.to_owned();
    for (name, value) in values {
        let place = format!("%{name}%");
        ensure!(filled.contains(&place), "nothing to fill in for {place}");
        filled = filled.replace(&place, value);
    }
    Ok(filled)
}

fn text(path: &Path) -> Result<&str> {
    path.to_str().context("a path that is no text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_has_a_place_for_each_value() {
        let all = [("module", "m"), ("folder", "f"), ("workers", "2"), ("files", "100"), ("port", "4711")];
        let filled = fill(NCHAN_CONFIG, &all).unwrap();
        assert!(filled.contains("listen 127.0.0.1:4711 ") && filled.contains("worker_processes 2;"));
        let left = filled.lines().filter(|line| !line.starts_with('#') && line.contains('%')).count();
        assert_eq!(left, 0);
        assert!(fill(NCHAN_CONFIG, &[("ports", "1")]).is_err());
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        assert_eq!(find_program("volley-load-no-such-program"), None);
        assert!(find_program("sh").is_some());
    }
}
