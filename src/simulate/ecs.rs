//! Calls as records of the Elastic Common Schema, formatted directly: a generic serializer would be the slowest part.
//!
//! No string needs escaping: all come from tables of this module, and `spec` checks the hosts that a specification names.
//!
//! Not here: which calls are made (`traffic`).

use std::io::{self, Write};

use super::callers::{Caller, credential, letters};
use super::changes::{Company, Today};
use super::random::mix;
use super::time::TimeFormat;
use super::traffic::{SimulatedCall, tokens};
use super::vendors::{Endpoint, Vendor};

/// User agent of debugging by hand.
const CURL: &str = "curl/8.5.0";
/// Last byte of the address of the jump host in a caller's subnet, from which people debug.
const JUMP_HOST: u16 = 251;

/// Writes the calls of one day.
pub(super) struct Writer<'a> {
    company: &'a Company,
    time: TimeFormat,
}

impl<'a> Writer<'a> {
    pub(super) fn new(company: &'a Company, today: &Today) -> Self {
        Self { company, time: TimeFormat::of(today.start) }
    }

    /// Writes a call as a line.
    pub(super) fn write(&self, call: &SimulatedCall, out: &mut Vec<u8>) -> io::Result<()> {
        let Some(caller) = self.company.callers.get(call.caller as usize) else { return Ok(()) };
        let Some(pair) = caller.setup.pairs.get(usize::from(call.pair)) else { return Ok(()) };
        let Some(vendor) = self.company.vendors.get(pair.vendor) else { return Ok(()) };
        let Some(endpoint) = vendor.endpoints.get(usize::from(call.endpoint)) else { return Ok(()) };
        out.write_all(b"{\"@timestamp\":\"")?;
        self.time.write(call.time, out)?;
        let outcome = if call.status < 400 { "success" } else { "failure" };
        write!(
            out,
            r#"","ecs":{{"version":"8.17.0"}},"event":{{"category":["network","web"],"type":["access"],"action":"http-client-request","duration":{},"outcome":"{outcome}"}},"#,
            call.latency * 1000
        )?;
        source(caller, call, out)?;
        destination(vendor, endpoint, call, out)?;
        write!(
            out,
            r#""http":{{"version":"2","request":{{"method":"{}","bytes":{},"mime_type":"application/json"}},"response":{{"status_code":{},"bytes":{},"mime_type":"application/json"}}}},"#,
            endpoint.method, call.bytes_out, call.status, call.bytes_in
        )?;
        if let Some((input, output)) = tokens(vendor, endpoint, call) {
            write!(out, r#""gen_ai":{{"usage":{{"input_tokens":{input},"output_tokens":{output}}}}},"#)?;
        }
        if call.by_hand {
            write!(out, r#""user_agent":{{"original":"{CURL}"}},"#)?;
        } else {
            let (name, major) = caller.client;
            let version = call.version;
            write!(out, r#""user_agent":{{"original":"{name}/{major}.{}.{}"}},"#, version / 10 % 40, version % 10)?;
        }
        let key = credential(self.company.spec.seed, &caller.name, vendor, call.key);
        writeln!(
            out,
            r#""trace":{{"id":"{:016x}{:016x}"}},"labels":{{"credential_id":"{key}"}},"tls":{{"version":"1.3","version_protocol":"tls"}}}}"#,
            mix(call.id),
            mix(call.id ^ call.time as u64)
        )
    }
}

fn source(caller: &Caller, call: &SimulatedCall, out: &mut Vec<u8>) -> io::Result<()> {
    let (name, team, subnet) = (&caller.name, caller.team, caller.subnet);
    let (machine, pod) = if call.by_hand { (JUMP_HOST, JUMP_HOST) } else { (call.pod % 240 + 5, call.pod) };
    write!(
        out,
        r#""service":{{"name":"{name}","environment":"prod"}},"organization":{{"name":"{team}"}},"host":{{"name":"{name}-{pod}"}},"source":{{"ip":"10.20.{subnet}.{machine}"}},"#
    )
}

fn destination(vendor: &Vendor, endpoint: &Endpoint, call: &SimulatedCall, out: &mut Vec<u8>) -> io::Result<()> {
    let host = &vendor.host;
    let network = vendor.host.bytes().fold(7, |hash, byte| mix(hash ^ u64::from(byte)));
    let [_, _, _, _, _, second, third, _] = network.to_be_bytes();
    write!(
        out,
        r#""destination":{{"domain":"{host}","ip":"{}.{second}.{third}.{}","port":443}},"url":{{"scheme":"https","domain":"{host}","path":""#,
        network % 90 + 13,
        mix(call.id) % 250 + 1
    )?;
    path(&endpoint.path, call.id, out)?;
    out.write_all(br#""},"#)
}

/// Writes a path template with an object's id filled in.
fn path(template: &str, id: u64, out: &mut Vec<u8>) -> io::Result<()> {
    let Some((before, rest)) = template.split_once('{') else { return out.write_all(template.as_bytes()) };
    let (kind, after) = rest.split_once('}').unwrap_or((rest, ""));
    out.write_all(before.as_bytes())?;
    let (high, low) = (mix(id ^ 1), mix(id ^ 2));
    match kind {
        "number" => write!(out, "{}", 10_000 + high % 9_000_000)?,
        "hex" => write!(out, "{high:016x}{low:016x}")?,
        "uuid" => {
            let parts = (high >> 32, high >> 16 & 0xffff, high & 0xfff, low >> 48 & 0xfff, low & 0xffff_ffff_ffff);
            write!(out, "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}", parts.0, parts.1, parts.2, parts.3, parts.4)?;
        }
        prefix => {
            out.write_all(prefix.as_bytes())?;
            for letter in letters(high).chain(letters(low)).take(16) {
                out.push(letter as u8);
            }
        }
    }
    path(after, mix(id), out)
}
