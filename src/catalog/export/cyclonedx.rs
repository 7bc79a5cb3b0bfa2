//! A CycloneDX 1.6 bill of materials: third parties as `services`, the standard way to list external services.
//!
//! Not here: software components, which call logs do not show.

use serde_json::{Value as Json, json};

use crate::catalog::annotations::Annotations;
use crate::catalog::list::{Filter, List, QueryError};
use crate::catalog::rotation::RotationLimits;
use crate::catalog::time::rfc3339;
use crate::catalog::{MORE, Reader, Table};

/// The bill of materials. The same catalogue gives the same bytes.
///
/// # Errors
/// [`QueryError`].
pub fn cyclonedx(reader: &Reader, declared: &Annotations) -> Result<Json, QueryError> {
    let vendors = match List::named("vendors") {
        Some(list) => list.rows(reader, &Filter::default(), &RotationLimits::default())?,
        None => Table::default(),
    };
    let mut services: Vec<Json> = Vec::new();
    for vendor in vendors.json().iter().filter(|vendor| vendor["vendor"] != MORE) {
        let name = vendor["vendor"].as_str().unwrap_or_default();
        let hosts = vendor["hosts"].as_array().into_iter().flatten().filter_map(Json::as_str);
        let endpoints: Vec<_> = hosts.filter(|host| *host != MORE).map(|host| format!("https://{host}")).collect();
        let mut properties = Vec::new();
        let mut property = |key: &str, value: &Json| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if !text.is_empty() {
                properties.push(json!({"name": format!("apiwarden:{key}"), "value": text}));
            }
        };
        for key in ["category", "calls", "first_seen", "last_seen", "write_share"] {
            property(key, &vendor[key]);
        }
        for caller in vendor["callers"].as_array().into_iter().flatten() {
            property("caller", caller);
        }
        let known = declared.vendors.get(name);
        for (key, value) in known.into_iter().flat_map(|known| {
            [("owner", known.owner.clone()), ("contract", known.contract.clone()), ("purpose", known.purpose.clone())]
        }) {
            property(key, &json!(value.unwrap_or_default()));
        }
        services.push(json!({
            "bom-ref": format!("vendor:{name}"),
            "provider": {"name": vendor["domain"]},
            "name": name,
            "endpoints": endpoints,
            "authenticated": vendor["credentials"].as_i64().unwrap_or_default() > 0,
            "x-trust-boundary": true,
            "properties": properties,
        }));
    }
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": rfc3339(reader.newest()?.unwrap_or_default()),
            "tools": {"components": [{"type": "application", "name": "apiwarden", "version": env!("CARGO_PKG_VERSION")}]},
        },
        "services": services,
    }))
}
