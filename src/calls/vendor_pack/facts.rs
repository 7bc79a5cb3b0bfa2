//! What may be known of a vendor: its category, what its endpoints do, what a call costs.
//!
//! Not here: how facts are written down (`file`) and found (`pattern`, `mod`).

use serde::{Deserialize, Serialize};

/// Micro-dollars in a dollar.
const MICROS_PER_DOLLAR: f64 = 1e6;
/// Tokens that token prices are for.
const TOKENS_OF_A_PRICE: i64 = 1_000;
/// Most that one call may cost, micro-dollars (about a million dollars): sums of such calls still fit into 63 bits.
const MAX_COST: i64 = 1 << 40;

/// What kind of service a vendor offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VendorCategory {
    /// Files of an account: Dropbox, Box.
    Storage,
    /// Files for anybody who has the link, often without an account.
    FileDrop,
    /// Texts for anybody who has the link.
    Paste,
    /// Requests for anybody who has the link: bins that show what was sent to them.
    Webhook,
    /// Chat, texts and calls to people.
    Messaging,
    /// Mail to people.
    Mail,
    /// Language models.
    Llm,
    /// Money.
    Payments,
    /// Customers of the company.
    Crm,
    /// Tickets of customers.
    Support,
    /// Source code and what is built of it.
    Code,
    /// Computers, networks and all that runs on them.
    Cloud,
    /// Who people are, and what they may do.
    Identity,
    /// Logs, metrics, errors, pages.
    Observability,
    /// Tables of the company.
    DataWarehouse,
    /// Shops.
    Commerce,
    /// Books.
    Accounting,
    /// Employees.
    Hr,
    /// What visitors do.
    Analytics,
    /// Notes, plans and documents of teams.
    Productivity,
    /// None of these.
    Other,
}

impl VendorCategory {
    /// Whether its vendors sell work by the piece that no campaign goes through: where many more calls than usual are first of
    /// all a bill.
    pub const fn is_metered(self) -> bool {
        matches!(self, Self::Llm)
    }

    /// Whether anything can be left there, for whoever fetches it.
    pub const fn takes_anything(self) -> bool {
        matches!(self, Self::Storage | Self::FileDrop | Self::Paste | Self::Webhook | Self::Messaging)
    }
}

/// What a call to an endpoint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Gets one object.
    Read,
    /// Gets many objects, a page at a time; searches.
    List,
    /// Gets how many there are.
    Count,
    /// Gets all there is, or has it made ready to be fetched.
    BulkExport,
    /// Makes or changes an object, sends a message, asks a model.
    Write,
    /// Removes an object.
    Delete,
    /// Changes users, rights, hooks or the account itself.
    Admin,
    /// Gets, makes or lists credentials.
    Token,
    /// Asks who the caller is.
    IdentityCheck,
}

impl Verb {
    /// Whether it deals with rights, credentials, loss, or all data at once.
    pub const fn is_sensitive(self) -> bool {
        matches!(self, Self::BulkExport | Self::Delete | Self::Admin | Self::Token)
    }
}

/// What a call to an endpoint costs, micro-dollars. An estimate by list prices: whoever pays less sees the same proportions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// Of the call itself.
    call: i64,
    /// Of a thousand tokens to a model.
    tokens_in: i64,
    /// Of a thousand tokens from a model.
    tokens_out: i64,
}

impl Price {
    /// The price of amounts in dollars.
    pub(super) fn of_dollars(call: f64, per_1k_tokens_in: f64, per_1k_tokens_out: f64) -> Self {
        let micros = |dollars: f64| (dollars * MICROS_PER_DOLLAR).round() as i64;
        Self { call: micros(call), tokens_in: micros(per_1k_tokens_in), tokens_out: micros(per_1k_tokens_out) }
    }

    /// Whether nothing is known, or nothing is paid.
    pub fn is_nothing(self) -> bool {
        self == Self::default()
    }

    /// What a call with so many tokens costs, micro-dollars; what is below one is lost.
    pub fn cost(self, tokens_in: i64, tokens_out: i64) -> i64 {
        let of_tokens = |tokens: i64, price: i64| tokens.max(0).saturating_mul(price) / TOKENS_OF_A_PRICE;
        let tokens = of_tokens(tokens_in, self.tokens_in).saturating_add(of_tokens(tokens_out, self.tokens_out));
        self.call.saturating_add(tokens).min(MAX_COST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_paid_by_the_thousand_and_no_call_overflows_a_sum() {
        let price = Price::of_dollars(0.0, 0.003, 0.015);
        assert_eq!(price.cost(1_000, 200), 6_000);
        assert_eq!(Price::of_dollars(0.0083, 0.0, 0.0).cost(0, 0), 8_300);
        assert_eq!(price.cost(i64::MAX, i64::MAX), MAX_COST);
        assert!(Price::default().is_nothing() && !price.is_nothing());
    }
}
