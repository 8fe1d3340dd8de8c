//! Components in OCI registries: one manifest, its config and one layer, as the CNCF's "Wasm OCI Artifact layout" has
//! it, so that other tools read what is written here and the other way round.
//!
//! A signature travels as an annotation of the layer, since it is the layer's bytes that are signed. Nothing in a
//! manifest depends on the time: the same component under the same tag is the same digest.

use crate::http_client::{innermost, is_loopback};
use anyhow::{Context as _, anyhow, bail, ensure};
use docker_credential::{CredentialRetrievalError, DockerCredential, get_credential};
use futures_util::StreamExt as _;
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciImageManifest, WASM_LAYER_MEDIA_TYPE};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::Duration;
use wasmparser::{Parser, Payload};

/// How a registry is told from a file.
pub const SCHEME: &str = "oci://";
/// Of a layer: the signature of its bytes, in base64.
pub const SIGNATURE: &str = "volley.signature";
/// No component is larger.
const COMPONENT_BYTES_MAX: usize = 64 << 20;
/// A registry that sends nothing for so long is given up.
const READ: Duration = Duration::from_mins(1);

const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";
const LAYER_TYPE: &str = "application/wasm";

/// What a registry has.
pub struct Artifact {
    /// The component's bytes, which are those of the digest.
    pub component: Vec<u8>,
    /// Their signature, in base64.
    pub signature: Option<String>,
    /// The digest of the manifest.
    pub digest: String,
}

/// Whether a registry is spoken to without TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS, but for registries on this machine.
    Usual,
    /// None.
    PlainHttp,
}

/// What stands behind `oci://`.
pub fn parse(text: &str) -> Result<Reference, String> {
    let name = text.strip_prefix(SCHEME).ok_or_else(|| format!("{text:?} does not begin with {SCHEME}"))?;
    let reference: Reference = name.parse().map_err(|error| format!("{text:?}: {error}"))?;
    let first = name.split('/').next().unwrap_or_default();
    // Without a registry the name would quietly become one of Docker Hub's.
    if first != reference.registry() {
        return Err(format!("{text:?} names no registry; it is oci://REGISTRY/NAME:TAG"));
    }
    Ok(reference)
}

/// Puts a component there; the digest of its manifest.
pub async fn push(
    to: &Reference,
    component: Vec<u8>,
    signature: Option<&str>,
    transport: Transport,
) -> anyhow::Result<String> {
    ensure!(to.digest().is_none(), "{to} names a digest, which cannot be chosen; give it a tag");
    let annotations = signature.map(|signature| BTreeMap::from([(SIGNATURE.to_owned(), signature.to_owned())]));
    let layer = ImageLayer::new(component, LAYER_TYPE.into(), annotations);
    let config = Config::new(about(&layer)?.to_string(), CONFIG_TYPE.into(), None);
    let layers = [layer];
    let mut manifest = OciImageManifest::build(&layers, &config, None);
    manifest.media_type = Some(OCI_IMAGE_MEDIA_TYPE.into());
    let (client, auth) = (client(to, transport), credentials(to)?);
    client.push(to, &layers, config, &auth, Some(manifest)).await.map_err(|error| explain(to, &error))?;
    let (_, digest) = client.pull_image_manifest(to, &auth).await.map_err(|error| explain(to, &error))?;
    Ok(digest)
}

/// Gets a component.
pub async fn pull(from: &Reference, transport: Transport) -> anyhow::Result<Artifact> {
    let (client, auth) = (client(from, transport), credentials(from)?);
    let (manifest, digest) = client.pull_image_manifest(from, &auth).await.map_err(|error| explain(from, &error))?;
    let is_component = |media_type: &str| [LAYER_TYPE, WASM_LAYER_MEDIA_TYPE].contains(&media_type);
    let mut components = manifest.layers.iter().filter(|layer| is_component(&layer.media_type));
    let layer = components.next().ok_or_else(|| anyhow!("{from} is no component: it has no layer of {LAYER_TYPE}"))?;
    ensure!(components.next().is_none(), "{from} has more than one component; a rule is one");
    // What the registry says about the size is checked first, what it sends is counted.
    let too_large = || anyhow!("{from} is larger than {COMPONENT_BYTES_MAX} bytes, which no rule is");
    let size = usize::try_from(layer.size).ok().filter(|size| *size <= COMPONENT_BYTES_MAX).ok_or_else(too_large)?;
    let mut component = Vec::with_capacity(size);
    let mut sized = client.pull_blob_stream(from, layer).await.map_err(|error| explain(from, &error))?;
    while let Some(some) = sized.stream.next().await {
        let some = some.with_context(|| format!("{from} broke off"))?;
        ensure!(component.len() + some.len() <= COMPONENT_BYTES_MAX, too_large());
        component.extend_from_slice(&some);
    }
    ensure!(component.len() == size, "{from} has {} bytes instead of {size}", component.len());
    let signature = layer.annotations.as_ref().and_then(|all| all.get(SIGNATURE)).cloned();
    Ok(Artifact { component, signature, digest })
}

fn client(reference: &Reference, transport: Transport) -> Client {
    // One provider a process; that there is one already is no fault.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let registry = reference.resolve_registry();
    let here = format!("http://{registry}").parse().is_ok_and(|url| is_loopback(&url));
    let protocol = match transport {
        Transport::Usual if !here => ClientProtocol::Https,
        Transport::Usual | Transport::PlainHttp => ClientProtocol::HttpsExcept(vec![registry.to_owned()]),
    };
    Client::new(ClientConfig {
        protocol,
        connect_timeout: Some(Duration::from_secs(10)),
        read_timeout: Some(READ),
        user_agent: concat!("volley/", env!("CARGO_PKG_VERSION")),
        ..ClientConfig::default()
    })
}

/// Those of `docker login`.
fn credentials(reference: &Reference) -> anyhow::Result<RegistryAuth> {
    let registry = match reference.resolve_registry() {
        "index.docker.io" => "https://index.docker.io/v1/",
        registry => registry,
    };
    match get_credential(registry) {
        Ok(DockerCredential::UsernamePassword(user, password)) => Ok(RegistryAuth::Basic(user, password)),
        Ok(DockerCredential::IdentityToken(_)) => {
            bail!("the login for {registry} is an identity token, which is not spoken here; use a user and a password")
        }
        Err(
            CredentialRetrievalError::NoCredentialConfigured
            | CredentialRetrievalError::ConfigNotFound
            | CredentialRetrievalError::ConfigReadError,
        ) => Ok(RegistryAuth::Anonymous),
        Err(error) => Err(anyhow!("can't read the login for {registry} from Docker's config.json: {error}")),
    }
}

/// The config: what the component asks for and gives.
fn about(layer: &ImageLayer) -> anyhow::Result<serde_json::Value> {
    let (mut imports, mut exports, mut depth) = (Vec::new(), Vec::new(), 0_u32);
    for payload in Parser::new(0).parse_all(&layer.data) {
        match payload.context("not a WebAssembly component")? {
            Payload::Version { encoding, .. } if depth == 0 && encoding != wasmparser::Encoding::Component => {
                bail!("this is a core module, not a component; `volley plugin build` makes one")
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    imports.push(import?.name.name.to_owned());
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(json!({
        // Of the systems that the layout knows, the one whose programs are components.
        "architecture": "wasm", "os": "wasip2",
        "layerDigests": [layer.sha256_digest()],
        "component": {"exports": exports, "imports": imports},
    }))
}

/// What a registry's answer means, and what to do.
fn explain(reference: &Reference, error: &OciDistributionError) -> anyhow::Error {
    let registry = reference.registry();
    match error {
        error if has_code(error, &[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown]) => {
            anyhow!("{registry} has no {}", reference.whole().trim_start_matches(registry).trim_start_matches('/'))
        }
        OciDistributionError::ImageManifestNotFoundError(_) => anyhow!("{registry} has no {reference}"),
        error if wants_login(error) => {
            anyhow!("{registry} wants a login for {reference}, or another one; `docker login {registry}` makes one")
        }
        OciDistributionError::RequestError(error) if error.is_connect() => {
            let why = innermost(error);
            anyhow!("can't reach the registry {registry}: {why} (one that speaks no TLS needs --plain-http)")
        }
        other => anyhow!("{reference}: {other}"),
    }
}

fn wants_login(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::UnauthorizedError { .. }
        | OciDistributionError::AuthenticationFailure(_)
        | OciDistributionError::ServerError { code: 401 | 403, .. } => true,
        other => has_code(other, &[OciErrorCode::Unauthorized, OciErrorCode::Denied]),
    }
}

fn has_code(error: &OciDistributionError, codes: &[OciErrorCode]) -> bool {
    match error {
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| codes.contains(&error.code))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_registry_is_refused() {
        for text in ["oci://localhost:5000/rules/chat:1", "oci://registry.example/chat"] {
            parse(text).unwrap_or_else(|wrong| panic!("{wrong}"));
        }
        for text in ["oci://chat", "oci://rules/chat:1", "oci://", "oci://UPPER.example/Chat", "localhost:5000/chat"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_config_names_what_the_component_asks_for() {
        let layer = |bytes: &'static [u8]| ImageLayer::new(bytes, LAYER_TYPE.into(), None);
        let component = layer(crate::bundled::component("topic").expect("bundled"));
        let about = super::about(&component).expect("a component");
        assert_eq!(about["layerDigests"][0], component.sha256_digest());
        let imports = about["component"]["imports"].as_array().expect("a list");
        let exports = about["component"]["exports"].as_array().expect("a list");
        assert!(!exports.is_empty(), "{about}");
        assert!(imports.iter().all(|name| name.as_str().is_some_and(|name| name.starts_with("volley:"))), "{about}");
        assert!(super::about(&layer(b"\0asm\x01\0\0\0")).is_err(), "a module is no component");
        assert!(super::about(&layer(b"no Wasm")).is_err());
    }
}
