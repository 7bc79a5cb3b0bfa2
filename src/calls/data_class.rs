//! Classes of data: what kinds of data a call sends and gets, by the names that a log shows, never by what stands there.
//!
//! A name (a query's parameter, a field of a body) is split into words, `customerEmail` and `customer[email]` alike, and looked up in one
//! table: whole words, so that `emailed_at` is no mail address. A user adds words of their own (`[data_classes]` of the pipeline file).
//! Media types of bodies tell some classes too.
//!
//! Not here: where names stand (`content`), and what values look like (`sample`).

use std::collections::BTreeMap;

use foldhash::HashMap;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A class of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataClass {
    /// Who people are: names, addresses, numbers that the state or a bank gave them.
    Personal,
    /// Payment cards.
    Card,
    /// Passwords, keys, tokens.
    Secrets,
    /// How people are.
    Health,
    /// Source code.
    SourceCode,
    /// What language models are asked.
    Prompts,
}

impl DataClass {
    /// Every class.
    pub const ALL: [Self; 6] =
        [Self::Personal, Self::Card, Self::Secrets, Self::Health, Self::SourceCode, Self::Prompts];

    /// The name in columns, policies and lists.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Personal => "personal",
            Self::Card => "card",
            Self::Secrets => "secrets",
            Self::Health => "health",
            Self::SourceCode => "source_code",
            Self::Prompts => "prompts",
        }
    }
}

/// A set of classes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DataClasses(u8);

impl DataClasses {
    /// How many sets there are.
    pub(super) const COUNT: usize = 1 << DataClass::ALL.len();

    /// The set of one class.
    pub const fn of(class: DataClass) -> Self {
        Self(1 << class as u8)
    }

    /// The set of an index below [`Self::COUNT`].
    pub(super) fn at(index: usize) -> Self {
        Self(index as u8)
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// Adds the classes of another set.
    pub fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// The classes, in their order.
    pub fn classes(self) -> impl Iterator<Item = DataClass> {
        DataClass::ALL.into_iter().filter(move |class| self.0 & Self::of(*class).0 != 0)
    }

    /// The text of the set in columns: its classes with blanks between them.
    pub(super) fn text(self) -> String {
        self.classes().map(DataClass::as_str).collect::<Vec<_>>().join(" ")
    }

    /// The names of the classes in a column's text.
    pub fn named(text: &str) -> impl Iterator<Item = &str> {
        text.split(' ').filter(|class| !class.is_empty())
    }
}

/// Words that tell a class, as they stand in names in lower case with `_` between them. Plain `name`, `address`, `token` and `key` mean
/// too many things.
const WORDS: [(DataClass, &[&str]); 6] = [
    (
        DataClass::Personal,
        &[
            "email",
            "e_mail",
            "emails",
            "mail_address",
            "phone",
            "phone_number",
            "phonenumber",
            "mobile_number",
            "msisdn",
            "first_name",
            "firstname",
            "last_name",
            "lastname",
            "surname",
            "full_name",
            "fullname",
            "given_name",
            "family_name",
            "middle_name",
            "maiden_name",
            "birth_date",
            "birthdate",
            "birthday",
            "date_of_birth",
            "dob",
            "ssn",
            "social_security",
            "passport",
            "national_id",
            "nationality",
            "tax_id",
            "vat_id",
            "driver_license",
            "driving_license",
            "iban",
            "bank_account",
            "account_holder",
            "street",
            "street_address",
            "address_line1",
            "address_line_1",
            "postal_code",
            "postcode",
            "zip_code",
            "zipcode",
            "home_address",
            "billing_address",
            "shipping_address",
            "gender",
            "ethnicity",
            "religion",
            "salary",
        ],
    ),
    (
        DataClass::Card,
        &[
            "card_number",
            "cardnumber",
            "card_no",
            "credit_card",
            "creditcard",
            "cc_number",
            "ccnumber",
            "cvv",
            "cvv2",
            "cvc",
            "cvc2",
            "card_cvc",
            "exp_month",
            "exp_year",
            "card_holder",
            "cardholder",
            "card_expiry",
            "primary_account_number",
        ],
    ),
    (
        DataClass::Secrets,
        &[
            "password",
            "passwd",
            "passphrase",
            "passcode",
            "secret",
            "client_secret",
            "secret_key",
            "private_key",
            "api_key",
            "apikey",
            "access_token",
            "refresh_token",
            "id_token",
            "auth_token",
            "bearer_token",
            "session_token",
            "access_key",
            "client_assertion",
            "otp",
            "recovery_code",
        ],
    ),
    (
        DataClass::Health,
        &[
            "diagnosis",
            "diagnoses",
            "icd10",
            "icd_10",
            "patient",
            "patients",
            "patient_id",
            "medication",
            "medications",
            "prescription",
            "prescriptions",
            "allergy",
            "allergies",
            "blood_type",
            "blood_pressure",
            "heart_rate",
            "symptom",
            "symptoms",
            "medical_record",
            "medical_history",
            "health_insurance",
            "lab_result",
            "lab_results",
            "disability",
            "pregnancy",
        ],
    ),
    (
        DataClass::SourceCode,
        &["source_code", "sourcecode", "code_snippet", "codebase", "diff", "patch_text", "file_diff"],
    ),
    (DataClass::Prompts, &["prompt", "prompts", "system_prompt", "user_prompt", "system_instruction"]),
];

/// Media types of bodies that tell a class by themselves.
const MEDIA_TYPES: [(&str, DataClass); 12] = [
    ("application/fhir+json", DataClass::Health),
    ("application/fhir+xml", DataClass::Health),
    ("application/dicom", DataClass::Health),
    ("application/dicom+json", DataClass::Health),
    ("application/x-git-receive-pack-request", DataClass::SourceCode),
    ("application/x-git-upload-pack-result", DataClass::SourceCode),
    ("application/vnd.github.diff", DataClass::SourceCode),
    ("application/vnd.github.patch", DataClass::SourceCode),
    ("text/x-diff", DataClass::SourceCode),
    ("text/x-python", DataClass::SourceCode),
    ("application/x-pem-file", DataClass::Secrets),
    ("application/pkcs12", DataClass::Secrets),
];

/// What a media type, in lower case and without parameters, tells of a body.
pub(super) fn of_media_type(essence: &str) -> DataClasses {
    let known = MEDIA_TYPES.iter().find(|(known, _)| *known == essence);
    known.map_or(DataClasses::default(), |(_, class)| DataClasses::of(*class))
}

/// A word of the user's that is none.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("`{word}` holds no letter or digit: write words as they stand in names, as in \"loyalty_number\"")]
pub struct DataWordsError {
    /// Its class.
    pub class: DataClass,
    /// The word as written.
    pub word: String,
}

/// Words of names, and the classes that they tell.
#[derive(Clone, Debug)]
pub struct DataWords {
    /// Classes by `_card_number_`.
    words: HashMap<String, DataClasses>,
    /// Most words that stand together.
    longest: usize,
}

impl Default for DataWords {
    fn default() -> Self {
        let mut words = Self { words: HashMap::default(), longest: 1 };
        for (class, own) in WORDS {
            own.iter().for_each(|word| words.add(format!("_{word}_"), class));
        }
        words
    }
}

impl DataWords {
    /// The words of the table, and the user's.
    ///
    /// # Errors
    /// A word holds no letter or digit.
    pub fn with(own: &BTreeMap<DataClass, Vec<String>>) -> Result<Self, DataWordsError> {
        let mut words = Self::default();
        for (&class, own) in own {
            for word in own {
                let split = split(word);
                if split.len() < 3 {
                    return Err(DataWordsError { class, word: word.clone() });
                }
                words.add(split, class);
            }
        }
        Ok(words)
    }

    fn add(&mut self, split: String, class: DataClass) {
        self.longest = self.longest.max(split.matches('_').count() - 1);
        self.words.entry(split).or_default().add(DataClasses::of(class));
    }

    /// The classes that a name tells.
    pub(super) fn classes(&self, name: &str) -> DataClasses {
        let mut classes = DataClasses::default();
        let name = split(name);
        let borders: Vec<usize> = name.match_indices('_').map(|(at, _)| at).collect();
        for (first, &start) in borders.iter().enumerate() {
            for &end in borders[first + 1..].iter().take(self.longest) {
                if let Some(told) = self.words.get(&name[start..=end]) {
                    classes.add(*told);
                }
            }
        }
        classes
    }
}

/// A name's words in lower case, with `_` before, between and behind them.
fn split(name: &str) -> String {
    let mut words = String::with_capacity(name.len() + 4);
    words.push('_');
    let mut before = ' ';
    for symbol in name.chars() {
        if !symbol.is_alphanumeric() {
            before = ' ';
            continue;
        }
        let begins_word = !before.is_alphanumeric() || (symbol.is_uppercase() && !before.is_uppercase());
        if begins_word && !words.ends_with('_') {
            words.push('_');
        }
        words.extend(symbol.to_lowercase());
        before = symbol;
    }
    if !words.ends_with('_') {
        words.push('_');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &DataWords, name: &str) -> String {
        words.classes(name).text()
    }

    #[test]
    fn a_name_tells_its_class_by_whole_words_however_it_is_written() {
        let words = DataWords::default();
        for (name, classes) in [
            ("email", "personal"),
            ("customerEmail", "personal"),
            ("customer[email]", "personal"),
            ("payment_method_data[card][number]", "card"),
            ("X-First-Name", "personal"),
            ("cardNumber", "card"),
            ("client_secret", "secrets"),
            ("patient.diagnosis", "health"),
            ("sourceCode", "source_code"),
            ("system_prompt", "prompts"),
            ("emailed_at", ""),
            ("name", ""),
            ("page_token", ""),
            ("discard_number_format", ""),
            ("prompted", ""),
            ("", ""),
            ("💳", ""),
        ] {
            assert_eq!(told(&words, name), classes, "{name}");
        }
    }

    #[test]
    fn a_user_adds_words_and_what_is_none_is_refused() {
        let own = |word: &str| BTreeMap::from([(DataClass::Personal, vec![word.to_owned()])]);
        let words = DataWords::with(&own("loyalty-number")).unwrap();
        assert_eq!(told(&words, "loyaltyNumber"), "personal");
        assert_eq!(told(&words, "email"), "personal");
        assert!(DataWords::with(&own("--")).unwrap_err().to_string().contains("`--` holds no letter"));
    }

    #[test]
    fn a_set_is_its_classes_as_text_and_back() {
        for index in 0..DataClasses::COUNT {
            let set = DataClasses::at(index);
            let mut read = DataClasses::default();
            for name in DataClasses::named(&set.text()) {
                let class = DataClass::ALL.into_iter().find(|class| class.as_str() == name).unwrap();
                read.add(DataClasses::of(class));
            }
            assert_eq!((read, set.index()), (set, index));
        }
    }
}
