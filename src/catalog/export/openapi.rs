//! An OpenAPI 3.1 skeleton of what is really called at a vendor: servers, paths, methods, parameters. Scanners can be fed with it.
//!
//! Not here: bodies and schemas, which logs do not show; operations of audit logs, which have no path.

use serde_json::{Map, Value as Json, json};

use crate::catalog::list::{Filter, List, QueryError};
use crate::catalog::rotation::RotationLimits;
use crate::catalog::{MORE, Reader, Table, Value};

/// Methods that a path of OpenAPI may have.
const METHODS: [&str; 8] = ["get", "put", "post", "delete", "options", "head", "patch", "trace"];

/// The skeleton of a vendor.
///
/// # Errors
/// [`QueryError`]: also where the vendor is not in the catalogue.
pub fn openapi(reader: &Reader, vendor: &str) -> Result<Json, QueryError> {
    let filter = Filter { vendor: Some(vendor.to_owned()), ..Filter::default() };
    let list = |name: &str| match List::named(name) {
        Some(list) => list.rows(reader, &filter, &RotationLimits::default()),
        None => Ok(Table::default()),
    };
    let (hosts, endpoints, traits) = (list("hosts")?, list("endpoints")?, list("traits")?);
    let is_plain = |row: &Vec<Value>| row[1].text() == Some("scheme") && row[2].text() == Some("http");
    let is_secure = |row: &Vec<Value>| row[1].text() == Some("scheme") && row[2].text() == Some("https");
    let scheme = if traits.rows.iter().any(is_plain) && !traits.rows.iter().any(is_secure) { "http" } else { "https" };
    let mut paths: Map<String, Json> = Map::new();
    let object = endpoints.json();
    for endpoint in &object {
        let text = |name: &str| endpoint[name].as_str().unwrap_or_default();
        let method = text("method").to_ascii_lowercase();
        // The operation of GraphQL stands behind the path.
        let template = text("template").split(' ').next().unwrap_or_default();
        if !METHODS.contains(&&*method) || !template.starts_with('/') {
            continue;
        }
        let (path, parameters) = with_named_parameters(template);
        let operation = json!({
            "operationId": format!("{method}{}", path.replace(|c: char| !c.is_ascii_alphanumeric(), "_")),
            "parameters": parameters,
            "responses": {"default": {"description": "not known from logs"}},
            "x-apiwarden": {
                "calls": endpoint["calls"], "first_seen": endpoint["first_seen"], "last_seen": endpoint["last_seen"],
                "callers": endpoint["callers"], "verb": endpoint["verb"],
            },
        });
        let of_path = paths.entry(path).or_insert_with(|| json!({}));
        // The first has most calls.
        if let Some(of_path) = of_path.as_object_mut() {
            of_path.entry(method).or_insert(operation);
        }
    }
    paths.sort_keys();
    let servers = hosts.rows.iter().filter_map(|row| row[0].text()).filter(|host| !host.is_empty() && *host != MORE);
    let servers: Vec<_> = servers.map(|host| json!({"url": server(scheme, host)})).collect();
    Ok(json!({
        "openapi": "3.1.0",
        "info": {
            "title": format!("{vendor}, as it is called"),
            "version": "observed",
            "description": "Discovered from API call logs by apiwarden. What is never called is not here.",
        },
        "servers": servers,
        "paths": paths,
    }))
}

fn server(scheme: &str, host: &str) -> String {
    // An address of IPv6 stands in brackets.
    if host.contains(':') { format!("{scheme}://[{host}]") } else { format!("{scheme}://{host}") }
}

/// `/repos/{id}/{id}` as `/repos/{id1}/{id2}`, with their declarations: OpenAPI wants distinct names.
fn with_named_parameters(template: &str) -> (String, Vec<Json>) {
    let mut parameters = Vec::new();
    let segments = template.split('/').map(|segment| {
        let is_parameter = segment.starts_with('{') && segment.ends_with('}');
        if !is_parameter {
            return segment.replace(['{', '}'], "_");
        }
        let name = format!("{}{}", &segment[1..segment.len() - 1], parameters.len() + 1);
        parameters.push(json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
        format!("{{{name}}}")
    });
    (segments.collect::<Vec<_>>().join("/"), parameters)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parameter_of_a_path_has_a_name_of_its_own() {
        let (path, parameters) = with_named_parameters("/repos/{id}/{id}/x{y/{rest}");
        assert_eq!(path, "/repos/{id1}/{id2}/x_y/{rest3}");
        assert_eq!(parameters[2]["name"], "rest3");
        assert_eq!(server("https", "2001:db8::1"), "https://[2001:db8::1]");
    }
}
