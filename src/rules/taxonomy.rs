//! Log sources of Sigma rules, and what each of their fields reads of a row.
//!
//! Our own source is `product: apiwarden, category: api_call`; its fields are the columns. Public sources (AWS CloudTrail, proxies, Azure,
//! Google Cloud, GitHub, Okta, Microsoft 365) are mapped as far as columns answer. Columns hold no request parameters, no user agent beyond
//! its family and no status beyond its class: what a rule asks of these is never guessed, the rule is listed as not evaluable.
//!
//! Not here: how values compare (`pattern`), and rules (`sigma`).

use std::borrow::Cow;

use crate::calls::{
    DIMENSIONS, Dimension, MEASURES, Measure, Outcome, PrincipalKind, Relation, View, WITHOUT_MFA, split_endpoint,
};

/// Where a rule's log comes from, and what its fields are.
#[derive(Debug)]
pub(super) struct LogSource {
    pub product: Option<&'static str>,
    pub service: Option<&'static str>,
    pub category: Option<&'static str>,
    /// The view that such a log gives.
    view: Option<View>,
    /// The vendors that it is about; empty for all.
    vendors: &'static [&'static str],
    /// Fields in any case, as public rules write them.
    pub fields: &'static [(&'static str, Reads)],
    /// Why no rule on it can be evaluated, if none can.
    pub unread: Option<&'static str>,
}

/// What a field reads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Reads {
    /// A dimension.
    Text(Dimension),
    /// A measure of the row.
    Count(Measure),
    /// Method of the endpoint.
    Method,
    /// Template of the endpoint's path.
    Path,
    /// What follows the last dot of the path.
    Extension,
    /// `https://host/path`.
    Url,
    /// The whole audit operation.
    Operation,
    /// The operation without the service before it, as CloudTrail and Microsoft 365 name it.
    OperationName,
    /// The service before the operation.
    Service,
    /// A Google method: with its service or without, never with package and version.
    GoogleMethod,
    /// The class of the outcome, by our names.
    Outcome,
    /// AWS's error code, as far as it is a class.
    ErrorCode,
    /// HTTP status, as far as it is a class.
    Status,
    /// Success or failure, by the words in use.
    Success,
    /// Whether a second factor was used at sign-in.
    Mfa,
    /// CloudTrail's `userIdentity.type`.
    IdentityType,
    /// CloudTrail's type of a session's issuer.
    IssuerType,
    /// Nothing keeps it; why.
    Nothing(&'static str),
}

const PARAMETERS: &str = "request parameters and responses are not kept: they hold secrets and payloads";
const USER_AGENT: &str = "of user agents the family alone is kept, without versions";
const QUERY: &str = "queries are never kept: they hold secrets";
const ADDRESS: &str = "of addresses the network alone is kept";
const ARN: &str = "of an ARN the name alone is kept";
const OBJECT: &str = "what an operation was applied to is not kept";
const DETAIL: &str = "this detail of the record is not kept";

const AWS: LogSource = LogSource {
    fields: &[
        ("eventSource", Reads::Text(Dimension::Host)),
        ("eventName", Reads::OperationName),
        ("errorCode", Reads::ErrorCode),
        ("status", Reads::Success),
        ("userIdentity.type", Reads::IdentityType),
        ("userIdentity.sessionContext.sessionIssuer.type", Reads::IssuerType),
        ("userIdentity.userName", Reads::Text(Dimension::Caller)),
        ("userIdentity.sessionContext.sessionIssuer.userName", Reads::Text(Dimension::Caller)),
        ("awsRegion", Reads::Text(Dimension::Region)),
        ("recipientAccountId", Reads::Text(Dimension::Account)),
        ("tlsDetails.tlsVersion", Reads::Text(Dimension::TlsVersion)),
        ("additionalEventData.MFAUsed", Reads::Mfa),
        ("responseElements.ConsoleLogin", Reads::Success),
        ("userIdentity.arn", Reads::Nothing(ARN)),
        ("userAgent", Reads::Nothing(USER_AGENT)),
        ("sourceIPAddress", Reads::Nothing(ADDRESS)),
        ("requestParameters", Reads::Nothing(PARAMETERS)),
        ("responseElements", Reads::Nothing(PARAMETERS)),
        ("errorMessage", Reads::Nothing(DETAIL)),
        ("eventType", Reads::Nothing(DETAIL)),
    ],
    ..LogSource::public("aws", Some("cloudtrail"), &["aws"])
};

const PROXY: LogSource = LogSource {
    product: None,
    category: Some("proxy"),
    view: Some(View::Egress),
    fields: &[
        ("c-uri", Reads::Url),
        ("cs-uri", Reads::Url),
        ("c-uri-stem", Reads::Path),
        ("cs-uri-stem", Reads::Path),
        ("c-uri-extension", Reads::Extension),
        ("cs-host", Reads::Text(Dimension::Host)),
        ("r-dns", Reads::Text(Dimension::Host)),
        ("cs-method", Reads::Method),
        ("sc-status", Reads::Status),
        ("c-uri-query", Reads::Nothing(QUERY)),
        ("cs-uri-query", Reads::Nothing(QUERY)),
        ("c-useragent", Reads::Nothing(USER_AGENT)),
        ("User-Agent", Reads::Nothing(USER_AGENT)),
        ("cs-cookie", Reads::Nothing("cookies are never kept: they hold secrets")),
        ("dst_ip", Reads::Nothing("the address behind a host is not kept")),
        ("src_ip", Reads::Nothing(ADDRESS)),
    ],
    ..LogSource::public("", None, &[])
};

const AZURE_AUDIT: LogSource = LogSource {
    fields: &[
        ("properties.message", Reads::Operation),
        ("OperationName", Reads::Operation),
        ("ActivityDisplayName", Reads::Operation),
        ("ActivityType", Reads::Operation),
        ("Status", Reads::Success),
        ("properties.result", Reads::Success),
        ("TargetResources", Reads::Nothing(OBJECT)),
        ("properties.targetResources", Reads::Nothing(OBJECT)),
    ],
    ..LogSource::public("azure", Some("auditlogs"), MICROSOFT)
};

const AZURE_ACTIVITY: LogSource = LogSource {
    fields: &[
        ("operationName", Reads::Operation),
        ("OperationNameValue", Reads::Operation),
        ("properties.message", Reads::Operation),
        ("Status", Reads::Success),
        ("ResourceId", Reads::Nothing(OBJECT)),
    ],
    ..LogSource::public("azure", Some("activitylogs"), MICROSOFT)
};

const AZURE_SIGN_IN: LogSource = LogSource {
    fields: &[("ResultType", Reads::Success), ("Status", Reads::Success), ("userAgent", Reads::Nothing(USER_AGENT))],
    ..LogSource::public("azure", Some("signinlogs"), MICROSOFT)
};

const GCP: LogSource = LogSource {
    fields: &[
        ("gcp.audit.method_name", Reads::GoogleMethod),
        ("data.protoPayload.methodName", Reads::GoogleMethod),
        ("data.protoPayload.serviceName", Reads::Text(Dimension::Host)),
        ("data.protoPayload.resource.type", Reads::Nothing(OBJECT)),
    ],
    ..LogSource::public("gcp", Some("gcp.audit"), &["google"])
};

const GITHUB: LogSource = LogSource {
    fields: &[
        ("action", Reads::Operation),
        ("actor", Reads::Text(Dimension::Caller)),
        ("org", Reads::Text(Dimension::Account)),
    ],
    ..LogSource::public("github", Some("audit"), &["github"])
};

const OKTA: LogSource = LogSource {
    fields: &[
        ("eventType", Reads::Operation),
        ("outcome.result", Reads::Success),
        ("actor.alternateId", Reads::Text(Dimension::Caller)),
    ],
    ..LogSource::public("okta", Some("okta"), &["okta"])
};

const M365: LogSource = LogSource {
    fields: &[
        ("Operation", Reads::OperationName),
        ("Workload", Reads::Service),
        ("ResultStatus", Reads::Success),
        ("UserId", Reads::Text(Dimension::Caller)),
        ("ObjectId", Reads::Nothing(OBJECT)),
    ],
    ..LogSource::public("m365", Some("audit"), MICROSOFT)
};

const MICROSOFT: &[&str] = &["azure", "microsoft"];

/// Every log source that is known. What is not here is refused: it is a misspelling, or no log of API calls.
pub(super) const LOG_SOURCES: &[LogSource] = &[
    OWN,
    AWS,
    PROXY,
    AZURE_AUDIT,
    AZURE_ACTIVITY,
    AZURE_SIGN_IN,
    GCP,
    GITHUB,
    OKTA,
    M365,
    LogSource::unread("azure", "riskdetection", "no format reads Entra's risk detections"),
    LogSource::unread("azure", "pim", "no format reads alerts of Privileged Identity Management"),
    LogSource::unread("gcp", "google_workspace.admin", "no format reads Google Workspace's activity reports"),
    LogSource::unread("gcp", "google_workspace.login", "no format reads Google Workspace's activity reports"),
    LogSource::unread("m365", "threat_management", "no format reads alerts of Defender for Cloud Apps"),
    LogSource::unread("m365", "threat_detection", "no format reads alerts of Defender for Cloud Apps"),
    LogSource::unread("m365", "exchange", "no format reads alerts of Defender for Cloud Apps"),
    LogSource::unread("onelogin", "onelogin.events", "no format reads OneLogin's events"),
    LogSource::unread("cisco", "duo", "no format reads Duo's events"),
];

/// Our own source: columns by their names, and what is derived from them.
const OWN: LogSource = LogSource {
    category: Some("api_call"),
    view: None,
    fields: &OWN_FIELDS,
    ..LogSource::public("apiwarden", None, &[])
};

const DERIVED: [(&str, Reads); 3] = [("method", Reads::Method), ("path", Reads::Path), ("outcome", Reads::Outcome)];

const OWN_FIELDS: [(&str, Reads); DIMENSIONS + MEASURES.len() + DERIVED.len()] = own_fields();

const fn own_fields() -> [(&'static str, Reads); DIMENSIONS + MEASURES.len() + DERIVED.len()] {
    let mut fields = [("", Reads::Method); DIMENSIONS + MEASURES.len() + DERIVED.len()];
    let mut at = 0;
    while at < DIMENSIONS {
        fields[at] = (Dimension::ALL[at].name(), Reads::Text(Dimension::ALL[at]));
        at += 1;
    }
    let mut measure = 0;
    while measure < MEASURES.len() {
        fields[at] = (MEASURES[measure].name, Reads::Count(Measure::ALL[measure]));
        at += 1;
        measure += 1;
    }
    let mut derived = 0;
    while derived < DERIVED.len() {
        fields[at] = DERIVED[derived];
        at += 1;
        derived += 1;
    }
    fields
}

impl LogSource {
    /// An audit log of a vendor.
    const fn public(product: &'static str, service: Option<&'static str>, vendors: &'static [&'static str]) -> Self {
        let product = if product.is_empty() { None } else { Some(product) };
        Self { product, service, category: None, view: Some(View::Audit), vendors, fields: &[], unread: None }
    }

    const fn unread(product: &'static str, service: &'static str, why: &'static str) -> Self {
        Self { unread: Some(why), ..Self::public(product, Some(service), &[]) }
    }

    /// The source of a rule's `logsource`.
    pub fn find(product: Option<&str>, service: Option<&str>, category: Option<&str>) -> Option<&'static Self> {
        LOG_SOURCES.iter().find(|own| own.product == product && own.service == service && own.category == category)
    }

    /// Its name, for lists.
    pub fn name(&self) -> String {
        [("product", self.product), ("service", self.service), ("category", self.category)]
            .into_iter()
            .filter_map(|(key, value)| Some(format!("{key}: {}", value?)))
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// Whether it is our own: then a field that is not known is an error.
    pub fn is_own(&self) -> bool {
        self.product == Some("apiwarden")
    }

    /// Whether such a log tells of a relation.
    pub fn covers(&self, relation: &Relation) -> bool {
        self.view.is_none_or(|view| view == relation.view())
            && (self.vendors.is_empty() || self.vendors.contains(&relation.vendor().as_str()))
    }

    /// What a field reads; of a field inside another that nothing keeps, that one's.
    pub fn field(&self, name: &str) -> Option<Reads> {
        let own = self.fields.iter().find(|(own, _)| own.eq_ignore_ascii_case(name));
        let is_inside = |own: &str| {
            let start = name.get(..own.len()).is_some_and(|start| start.eq_ignore_ascii_case(own));
            start && name[own.len()..].starts_with('.')
        };
        let lost = || self.fields.iter().find(|(own, reads)| matches!(reads, Reads::Nothing(_)) && is_inside(own));
        own.or_else(lost).map(|(_, reads)| *reads)
    }
}

/// What is known of calls: their relation, and how they ended.
#[derive(Clone, Copy)]
pub(super) struct Ended<'a> {
    pub relation: &'a Relation,
    pub outcome: Outcome,
}

/// Outcomes that rows tell apart, each with its measure; calls of none of them ended in no way that the log says.
pub(super) const OUTCOMES: [(Outcome, Option<Measure>); 6] = [
    (Outcome::Ok, Some(Measure::Ok)),
    (Outcome::Denied, Some(Measure::Denied)),
    (Outcome::ClientError, Some(Measure::ClientError)),
    (Outcome::Throttled, Some(Measure::Throttled)),
    (Outcome::ServerError, Some(Measure::ServerError)),
    (Outcome::Unknown, None),
];

const SUCCESS: &[&str] = &["success", "succeeded", "ok", "0", "allow"];
const FAILURE: &[&str] = &["failure", "failed", "deny"];

/// What of a field's value is told by the outcome alone.
fn of_outcome(reads: Reads, outcome: Outcome) -> &'static [&'static str] {
    let is_ok = matches!(outcome, Outcome::Ok | Outcome::Unknown);
    match (reads, outcome) {
        (Reads::Success, _) => {
            if is_ok {
                SUCCESS
            } else {
                FAILURE
            }
        }
        (Reads::Outcome, Outcome::Ok) => &["ok"],
        (Reads::Outcome, Outcome::Denied) => &["denied"],
        (Reads::Outcome, Outcome::ClientError) => &["client_error"],
        (Reads::Outcome, Outcome::Throttled) => &["throttled"],
        (Reads::Outcome, Outcome::ServerError | Outcome::NoResponse) => &["server_error"],
        (Reads::Outcome, Outcome::Unknown) => &["unknown"],
        (Reads::ErrorCode, Outcome::Denied) => {
            &["AccessDenied", "AccessDeniedException", "Client.UnauthorizedOperation", "UnauthorizedOperation"]
        }
        (Reads::ErrorCode, Outcome::Throttled) => &["ThrottlingException", "Throttling", "RequestLimitExceeded"],
        (Reads::ErrorCode, Outcome::ServerError | Outcome::NoResponse) => &["InternalFailure", "ServiceUnavailable"],
        (Reads::ErrorCode, Outcome::ClientError) => &[CLIENT_ERROR],
        (Reads::Status, Outcome::Denied) => &["401", "403"],
        (Reads::Status, Outcome::Throttled) => &["429"],
        (Reads::Status, _) => &[CLIENT_ERROR],
        _ => &[],
    }
}

/// Stands for a code that rows do not tell apart: it is no code, so nothing but "there is one" matches it.
const CLIENT_ERROR: &str = "\u{0}";

impl Reads {
    /// The field's texts of calls; none where it has no value.
    pub fn texts(self, of: Ended<'_>) -> Vec<Cow<'_, str>> {
        let endpoint = of.relation.endpoint().as_str();
        let http = split_endpoint(endpoint).filter(|_| of.relation.view() == View::Egress);
        let operation = endpoint.strip_suffix(WITHOUT_MFA).unwrap_or(endpoint);
        let (service, name) = operation.split_once(':').unwrap_or(("", operation));
        let path = http.map(|(_, path)| path).unwrap_or_default();
        let one = |text: &str| Vec::from_iter((!text.is_empty()).then(|| text.to_owned()));
        let owned = match self {
            Self::Text(dimension) => return borrowed(of.relation.name(dimension).as_str()),
            Self::Count(_) | Self::Nothing(_) => Vec::new(),
            Self::Method => one(http.map(|(method, _)| method).unwrap_or_default()),
            Self::Path => one(path),
            Self::Extension => {
                one(path.rsplit('/').next().and_then(|last| last.rsplit_once('.')).map_or("", |(_, end)| end))
            }
            Self::Url => {
                let scheme = of.relation.name(Dimension::Scheme).as_str();
                let scheme = if scheme.is_empty() { "https" } else { scheme };
                http.map(|(_, path)| format!("{scheme}://{}{path}", of.relation.host())).into_iter().collect()
            }
            Self::Operation => one(operation),
            Self::OperationName => one(name),
            Self::Service => one(service),
            Self::GoogleMethod => {
                let with_service = (!service.is_empty()).then(|| format!("{service}.{name}"));
                one(name).into_iter().chain(with_service).collect()
            }
            Self::Mfa => one(if endpoint.ends_with(WITHOUT_MFA) { "No" } else { "" }),
            Self::IdentityType => return identity_types(of.relation).iter().map(|text| Cow::Borrowed(*text)).collect(),
            Self::IssuerType => one(match of.relation.principal() {
                PrincipalKind::Role | PrincipalKind::Instance | PrincipalKind::SingleSignOn => "Role",
                _ => "",
            }),
            Self::Outcome | Self::ErrorCode | Self::Status | Self::Success => {
                return of_outcome(self, of.outcome).iter().map(|text| Cow::Borrowed(*text)).collect();
            }
        };
        owned.into_iter().map(Cow::Owned).collect()
    }

    /// All texts that the field can have, where they are few: a value that matches none of them is told apart by no row.
    pub fn vocabulary(self) -> Option<Vec<&'static str>> {
        match self {
            Self::Outcome | Self::ErrorCode | Self::Status | Self::Success => {
                let texts = OUTCOMES.iter().flat_map(|(outcome, _)| of_outcome(self, *outcome));
                // Rules ask for it beside null, in case some AWS service writes it; no row has it.
                let never = (self == Self::ErrorCode).then_some("Success");
                Some(texts.copied().filter(|text| *text != CLIENT_ERROR).chain(never).collect())
            }
            Self::Mfa => Some(vec!["No"]),
            Self::IssuerType => Some(vec!["Role"]),
            Self::IdentityType => Some(IDENTITIES.iter().flat_map(|(_, types)| *types).copied().collect()),
            Self::Text(Dimension::Scheme) => Some(vec!["http", "https"]),
            Self::Text(Dimension::TlsVersion) => Some(vec!["ssl2", "ssl3", "1.0", "1.1", "1.2", "1.3"]),
            Self::Text(Dimension::View) => Some(vec!["egress", "audit"]),
            Self::Text(Dimension::Principal) => {
                Some(vec!["user", "single_sign_on", "role", "instance", "root", "vendor_service"])
            }
            Self::Text(Dimension::Channel) => Some(vec!["program", "console", "vendor"]),
            _ => None,
        }
    }

    /// Why a value of this field can never match, though others can.
    pub fn refuses(self, value: &str) -> Option<&'static str> {
        let has_query = |text: &str| text.contains('=') || text.contains('&') || text.contains(r"\?");
        match self {
            Self::Url | Self::Path if has_query(value) => Some(QUERY),
            _ => None,
        }
    }

    /// A value as rows have it.
    pub fn normalised(self, value: &str) -> String {
        // Package and version stand before the method in the log, and not in a row.
        let is_version =
            |part: &str| part.strip_prefix('v').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        match self {
            Self::GoogleMethod => {
                let parts: Vec<&str> = value.split('.').collect();
                let after = parts.iter().rposition(|part| is_version(part)).filter(|at| at + 1 < parts.len());
                after.map_or_else(|| value.to_owned(), |at| parts[at + 1..].join("."))
            }
            _ => value.to_owned(),
        }
    }

    /// What is lost on the way to a row, for lists; `None` where a row has what the log had.
    pub fn approximation(self) -> Option<&'static str> {
        match self {
            Self::ErrorCode => Some("denials, throttling and server errors are told apart, not their codes"),
            Self::Status => Some("401 and 403 are one class"),
            Self::Url | Self::Path | Self::Extension => Some("paths are templates: what varies is not told apart"),
            Self::IdentityType | Self::IssuerType => Some("kinds of principals stand for several types of identity"),
            Self::GoogleMethod => Some("methods have neither package nor version"),
            _ => None,
        }
    }
}

fn borrowed(text: &str) -> Vec<Cow<'_, str>> {
    if text.is_empty() { Vec::new() } else { vec![Cow::Borrowed(text)] }
}

/// CloudTrail's types of identity, by our kinds of principals.
const IDENTITIES: [(&str, &[&str]); 6] = [
    ("root", &["Root"]),
    ("user", &["IAMUser", "FederatedUser"]),
    ("single_sign_on", &["AssumedRole", "IdentityCenterUser", "SAMLUser"]),
    ("role", &["AssumedRole", "Role", "WebIdentityUser"]),
    ("instance", &["AssumedRole"]),
    ("vendor_service", &["AWSService"]),
];

fn identity_types(relation: &Relation) -> &'static [&'static str] {
    let kind = relation.principal().as_str();
    IDENTITIES.iter().find(|(own, _)| *own == kind).map_or(&[], |(_, types)| types)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Name;

    fn relation(values: &[(Dimension, &str)]) -> Relation {
        let mut names: [Name; DIMENSIONS] = std::array::from_fn(|_| Name::default());
        for (dimension, text) in values {
            names[*dimension as usize] = Name::new(text);
        }
        names.into()
    }

    #[test]
    fn an_audit_operation_reads_as_its_vendor_writes_it() {
        let sign_in = relation(&[
            (Dimension::View, "audit"),
            (Dimension::Endpoint, "signin:ConsoleLogin without MFA"),
            (Dimension::Principal, "root"),
        ]);
        let texts = |reads: Reads, outcome| reads.texts(Ended { relation: &sign_in, outcome });
        assert_eq!(texts(Reads::OperationName, Outcome::Ok), ["ConsoleLogin"]);
        assert_eq!(texts(Reads::Service, Outcome::Ok), ["signin"]);
        assert_eq!(texts(Reads::Mfa, Outcome::Ok), ["No"]);
        assert_eq!(texts(Reads::IdentityType, Outcome::Ok), ["Root"]);
        assert!(texts(Reads::ErrorCode, Outcome::Ok).is_empty());
        assert!(texts(Reads::ErrorCode, Outcome::Denied).contains(&"AccessDenied".into()));
        assert_eq!(Reads::GoogleMethod.normalised("google.storage.v1.buckets.delete"), "buckets.delete");
    }

    #[test]
    fn a_call_reads_as_a_proxy_writes_it() {
        let call = relation(&[
            (Dimension::View, "egress"),
            (Dimension::Host, "evil.example"),
            (Dimension::Scheme, "http"),
            (Dimension::Endpoint, "GET /files/setup.exe"),
        ]);
        let texts = |reads: Reads| reads.texts(Ended { relation: &call, outcome: Outcome::Ok });
        assert_eq!(texts(Reads::Url), ["http://evil.example/files/setup.exe"]);
        assert_eq!((texts(Reads::Extension), texts(Reads::Method)), (vec!["exe".into()], vec!["GET".into()]));
    }

    #[test]
    fn fields_are_found_in_any_case_and_inside_what_is_not_kept() {
        let aws = LogSource::find(Some("aws"), Some("cloudtrail"), None).unwrap();
        assert_eq!(aws.field("EVENTNAME"), Some(Reads::OperationName));
        assert_eq!(aws.field("requestParameters.layers"), Some(Reads::Nothing(PARAMETERS)));
        assert_eq!(aws.field("requestParametersX"), None);
        assert!(LogSource::find(Some("aws"), Some("cloudtrial"), None).is_none());
    }

    #[test]
    fn no_two_log_sources_are_the_same_and_ours_has_every_column() {
        for (index, source) in LOG_SOURCES.iter().enumerate() {
            assert!(LOG_SOURCES[..index].iter().all(|other| other.name() != source.name()), "{}", source.name());
        }
        assert_eq!(OWN.field("bytes_in_max"), Some(Reads::Count(Measure::BytesInMax)));
        assert_eq!(OWN.field("content_type"), Some(Reads::Text(Dimension::ContentType)));
    }
}
