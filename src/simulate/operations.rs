//! AWS operations, grouped by who performs them in an ordinary company. Names only.
//!
//! Not here: how sensitive an operation is (`calls::operation`).

/// Data access by services, all day.
pub(super) const DATA: [&str; 14] = [
    "s3:GetObject",
    "s3:PutObject",
    "s3:ListObjects",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "sqs:ReceiveMessage",
    "sqs:SendMessage",
    "sns:Publish",
    "kms:Decrypt",
    "kms:GenerateDataKey",
    "secretsmanager:GetSecretValue",
    "ssm:GetParameters",
    "bedrock:InvokeModel",
];

/// Read-only operations: consoles, scanners, plans of infrastructure as code.
pub(super) const READS: [&str; 64] = [
    "ec2:DescribeInstances",
    "ec2:DescribeVolumes",
    "ec2:DescribeSnapshots",
    "ec2:DescribeImages",
    "ec2:DescribeVpcs",
    "ec2:DescribeSubnets",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeAddresses",
    "ec2:DescribeKeyPairs",
    "ec2:DescribeRouteTables",
    "iam:ListUsers",
    "iam:ListRoles",
    "iam:ListPolicies",
    "iam:GetUser",
    "iam:GetRole",
    "iam:GetPolicy",
    "iam:GetPolicyVersion",
    "iam:ListAccessKeys",
    "iam:ListAttachedRolePolicies",
    "iam:GetAccountSummary",
    "s3:ListBuckets",
    "s3:GetBucketLocation",
    "s3:GetBucketPolicy",
    "s3:GetBucketAcl",
    "s3:GetBucketVersioning",
    "s3:GetBucketEncryption",
    "rds:DescribeDBInstances",
    "rds:DescribeDBSnapshots",
    "rds:DescribeDBClusters",
    "lambda:ListFunctions20150331",
    "lambda:GetFunction20150331v2",
    "lambda:GetPolicy20150331v2",
    "lambda:ListEventSourceMappings20150331",
    "cloudtrail:DescribeTrails",
    "cloudtrail:GetTrailStatus",
    "cloudtrail:LookupEvents",
    "logs:DescribeLogGroups",
    "logs:FilterLogEvents",
    "logs:GetLogEvents",
    "logs:StartQuery",
    "logs:GetQueryResults",
    "kms:ListKeys",
    "kms:DescribeKey",
    "kms:ListAliases",
    "ecs:ListClusters",
    "ecs:DescribeServices",
    "ecs:DescribeTasks",
    "ecs:ListTasks",
    "monitoring:DescribeAlarms",
    "monitoring:GetMetricData",
    "monitoring:ListMetrics",
    "dynamodb:ListTables",
    "dynamodb:DescribeTable",
    "secretsmanager:ListSecrets",
    "secretsmanager:DescribeSecret",
    "ssm:DescribeParameters",
    "ssm:DescribeInstanceInformation",
    "organizations:DescribeOrganization",
    "organizations:ListAccounts",
    "route53:ListHostedZones",
    "route53:ListResourceRecordSets",
    "sqs:ListQueues",
    "sqs:GetQueueAttributes",
    "ce:GetCostAndUsage",
];

/// Changes in the course of work.
pub(super) const WRITES: [&str; 20] = [
    "ec2:RunInstances",
    "ec2:CreateTags",
    "ec2:CreateSecurityGroup",
    "ec2:AuthorizeSecurityGroupIngress",
    "ec2:StartInstances",
    "ec2:StopInstances",
    "ec2:CreateVolume",
    "lambda:UpdateFunctionCode20150331v2",
    "lambda:UpdateFunctionConfiguration20150331v2",
    "ecs:UpdateService",
    "ecs:RegisterTaskDefinition",
    "s3:CreateBucket",
    "s3:PutBucketTagging",
    "dynamodb:UpdateTable",
    "monitoring:PutMetricAlarm",
    "logs:CreateLogGroup",
    "logs:PutRetentionPolicy",
    "sqs:CreateQueue",
    "rds:ModifyDBInstance",
    "route53:ChangeResourceRecordSets",
];

/// Grants of permissions, as by infrastructure as code.
pub(super) const GRANTS: [&str; 6] = [
    "iam:CreateRole",
    "iam:AttachRolePolicy",
    "iam:PutRolePolicy",
    "iam:CreatePolicyVersion",
    "s3:PutBucketPolicy",
    "lambda:AddPermission20150331v2",
];

/// Deletions.
pub(super) const DELETES: [&str; 7] = [
    "ec2:TerminateInstances",
    "ec2:DeleteSecurityGroup",
    "ec2:DeleteVolume",
    "iam:DetachRolePolicy",
    "iam:DeletePolicyVersion",
    "sqs:DeleteQueue",
    "logs:DeleteLogGroup",
];

/// The nightly backup, in order.
pub(super) const BACKUP: [&str; 4] =
    ["ec2:DescribeVolumes", "ec2:CreateSnapshot", "rds:CreateDBSnapshot", "ec2:DeleteSnapshot"];

/// Incident response.
pub(super) const INCIDENT: [&str; 12] = [
    "logs:FilterLogEvents",
    "logs:StartQuery",
    "logs:GetQueryResults",
    "monitoring:GetMetricData",
    "monitoring:DescribeAlarms",
    "ecs:DescribeTasks",
    "ecs:UpdateService",
    "ec2:DescribeInstances",
    "ec2:RebootInstances",
    "ec2:StopInstances",
    "ec2:RevokeSecurityGroupIngress",
    "rds:DescribeEvents",
];

/// Whether an operation reads, writes or lists objects of S3: a data event, which reports bytes.
pub(super) fn is_data(operation: &str) -> bool {
    matches!(operation, "s3:GetObject" | "s3:PutObject" | "s3:ListObjects")
}

/// Whether an operation is read-only.
pub(super) fn is_read_only(operation: &str) -> bool {
    let name = operation.split_once(':').map_or(operation, |(_service, name)| name);
    ["Get", "List", "Describe", "Lookup", "Filter", "Query", "Start"].iter().any(|verb| name.starts_with(verb))
        && name != "StartInstances"
}
