//! Amazon Bedrock model invocation log: every prompt and answer of a model, of which only the counts are read.
//!
//! Traps: `inputBodyJson` and `outputBodyJson` hold what was asked and answered, and are never read; tokens of a streamed answer are
//! only in the counts; the time is that of the answer.
//!
//! Source: docs.aws.amazon.com, "Monitor model invocation using CloudWatch Logs and Amazon S3".

use super::cloudtrail::{name_of_arn, outcome};
use super::url::part;
use super::{FormatKind, Probe, Reading, audit};
use crate::calls::{Call, Channel, PrincipalKind, View};
use crate::ingest::fields::Fields;
use crate::ingest::paths::paths;
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "bedrock",
    summary: "Amazon Bedrock: model invocation log",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    paths: &PATHS,
    line: None,
    read,
};

const SAMPLE: &str = r#"{"schemaType":"ModelInvocationLog","schemaVersion":"1.0","timestamp":"2026-09-01T00:00:01Z","accountId":"123837392027",
"identity":{"arn":"arn:aws:sts::123837392027:assumed-role/assistant/i-0abc"},"region":"us-west-2","requestId":"bb98d9a8-bd9a-47ca-976b-f165ef1f8b67",
"operation":"Converse","modelId":"anthropic.claude-3-haiku-20240307-v1:0","input":{"inputContentType":"application/json","inputTokenCount":812,
"inputBodyJson":{"messages":[]}},"output":{"outputContentType":"application/json","outputTokenCount":40,"outputBodyJson":{"metrics":{"latencyMs":249}}}}"#;

const SCHEMA: &str = "ModelInvocationLog";
const VENDOR: &str = "aws";
const SERVICE: &str = "bedrock";

paths! { Path:
    Time = "timestamp",
    Account = "accountId",
    Arn = "identity.arn",
    Region = "region",
    Id = "requestId",
    Operation = "operation",
    Model = "modelId",
    Error = "errorCode",
    TokensIn = "input.inputTokenCount",
    TokensOut = "output.outputTokenCount",
    ContentType = "output.outputContentType",
    Latency = "output.outputBodyJson.metrics.latencyMs",
}

fn looks_like(probe: &Probe<'_>) -> bool {
    probe.text("schemaType").is_some_and(|schema| schema == SCHEMA)
}

fn read<'a>(fields: &mut Fields<'a>) -> Result<Reading<'a>, RecordError> {
    let operation = fields.text(Path::Operation).ok_or_else(|| fields.missing(Path::Operation))?;
    let arn = fields.text(Path::Arn).unwrap_or_default();
    let region = fields.text(Path::Region);
    Ok(Reading::Call(Call {
        time: audit::time(fields, &[Path::Time]),
        view: View::Audit,
        // One operation is another thing on every model.
        operation: Some(match fields.text(Path::Model) {
            Some(model) => format!("{SERVICE}:{operation} {}", model_name(&model)).into(),
            None => format!("{SERVICE}:{operation}").into(),
        }),
        vendor: Some(VENDOR),
        account: fields.text(Path::Account),
        principal: principal_kind(&arn),
        channel: Channel::Program,
        caller: part(&arn, |arn| Some(name_of_arn(arn))).unwrap_or_default(),
        host: match &region {
            Some(region) => format!("bedrock-runtime.{region}.amazonaws.com").into(),
            None => "bedrock-runtime.amazonaws.com".into(),
        },
        outcome: Some(outcome(fields.text(Path::Error).as_deref())),
        content_type: fields.text(Path::ContentType),
        tokens_in: fields.whole(Path::TokensIn),
        tokens_out: fields.whole(Path::TokensOut),
        latency_ms: fields.real(Path::Latency),
        region,
        record_id: fields.text(Path::Id),
        ..Call::default()
    }))
}

/// A model by its id, or by the last part of an inference profile's ARN.
fn model_name(model: &str) -> &str {
    model.rsplit('/').next().unwrap_or(model)
}

/// What kind of principal an ARN names.
pub(super) fn principal_kind(arn: &str) -> PrincipalKind {
    let has = |part: &str| arn.contains(part);
    match () {
        () if has("assumed-role/AWSReservedSSO_") => PrincipalKind::SingleSignOn,
        () if has("assumed-role/AWSServiceRoleFor") => PrincipalKind::VendorService,
        () if has(":assumed-role/") || has(":role/") => PrincipalKind::Role,
        () if has(":user/") || has(":federated-user/") => PrincipalKind::User,
        () if arn.ends_with(":root") => PrincipalKind::Root,
        () => PrincipalKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Outcome;

    static FORMAT_KIND: FormatKind = FORMAT;

    fn call(record: &str) -> Call<'_> {
        FORMAT_KIND.decode(record).unwrap().call().unwrap()
    }

    #[test]
    fn the_sample_is_a_role_that_asks_a_model() {
        let call = call(SAMPLE);
        assert_eq!((&*call.caller, &*call.host), ("assistant", "bedrock-runtime.us-west-2.amazonaws.com"));
        assert_eq!(call.operation.as_deref(), Some("bedrock:Converse anthropic.claude-3-haiku-20240307-v1:0"));
        assert_eq!((call.tokens_in, call.tokens_out, call.latency_ms), (Some(812), Some(40), Some(249.0)));
        assert_eq!((call.principal, call.outcome), (PrincipalKind::Role, Some(Outcome::Ok)));
    }

    #[test]
    fn an_invocation_that_failed_has_no_answer_and_a_profile_names_its_model() {
        let record = r#"{"schemaType":"ModelInvocationLog","timestamp":"2026-09-01 00:00:01.0","identity":{"arn":"arn:aws:iam::1:user/ana"},"operation":"InvokeModel",
            "modelId":"arn:aws:bedrock:us-east-1:1:inference-profile/us.meta.llama3-1-8b","errorCode":"AccessDeniedException","input":{"inputTokenCount":3}}"#;
        let call = call(record);
        assert_eq!(call.operation.as_deref(), Some("bedrock:InvokeModel us.meta.llama3-1-8b"));
        assert_eq!((&*call.caller, call.principal, call.tokens_out), ("ana", PrincipalKind::User, None));
        assert_eq!((call.time, call.outcome), (1_788_220_801_000_000, Some(Outcome::Denied)));
    }

    #[test]
    fn a_record_without_operation_is_broken() {
        assert!(FORMAT_KIND.decode(r#"{"schemaType":"ModelInvocationLog"}"#).is_err());
    }
}
