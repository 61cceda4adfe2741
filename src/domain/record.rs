//! What leads, deals, invoices and other items that are neither contact nor organization may look like.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use super::{
    FieldError, ItemKind, ItemTypeId,
    field::{self, Errors, MAX_NAME, all, description, patched},
};

/// The codes of currencies in force (ISO 4217), each three letters.
const CURRENCIES: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF \
    CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS \
    INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN \
    MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN \
    SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG";

/// Which sort of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// Somebody who may become a customer.
    Lead,
    /// A sale that is being made.
    Deal,
    /// An invoice.
    Invoice,
    /// An item of a type of the root group's own.
    Custom,
    /// An estimate.
    Estimate,
    /// A document that is to be signed.
    SigningDocument,
}

impl RecordKind {
    /// Returns the kind of item that it is.
    pub fn kind(self) -> ItemKind {
        match self {
            Self::Lead => ItemKind::Lead,
            Self::Deal => ItemKind::Deal,
            Self::Invoice => ItemKind::Invoice,
            Self::Custom => ItemKind::Custom,
            Self::Estimate => ItemKind::Estimate,
            Self::SigningDocument => ItemKind::SigningDocument,
        }
    }

    /// Returns the sort of record that items of a kind are; none for contacts and organizations.
    pub fn of(kind: ItemKind) -> Option<Self> {
        match kind {
            ItemKind::Contact | ItemKind::Organization => None,
            ItemKind::Lead => Some(Self::Lead),
            ItemKind::Deal => Some(Self::Deal),
            ItemKind::Invoice => Some(Self::Invoice),
            ItemKind::Custom => Some(Self::Custom),
            ItemKind::Estimate => Some(Self::Estimate),
            ItemKind::SigningDocument => Some(Self::SigningDocument),
        }
    }
}

/// A new record as somebody typed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordForm {
    /// Which sort.
    pub of: RecordKind,
    /// The type of a custom item.
    pub item_type: Option<ItemTypeId>,
    /// What it is called.
    pub title: String,
    /// How far it is, in the team's own words.
    pub stage: Option<String>,
    /// What it is worth; of deals and invoices.
    pub amount: Option<Decimal>,
    /// The currency of that, ISO 4217.
    pub currency: Option<String>,
    /// Description.
    pub description: Option<String>,
}

/// What is to change of a record; the inner none clears a field.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RecordPatch {
    /// What it is called.
    pub title: Option<String>,
    /// How far it is.
    pub stage: Option<Option<String>>,
    /// What it is worth.
    pub amount: Option<Option<Decimal>>,
    /// The currency of that.
    pub currency: Option<Option<String>>,
    /// Description.
    pub description: Option<Option<String>>,
    /// False to archive it.
    pub active: Option<bool>,
}

/// A record's fields, trimmed and within the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordFields {
    /// Which sort.
    pub of: RecordKind,
    /// The type of a custom item; none of any other.
    pub item_type: Option<ItemTypeId>,
    /// What it is called, 1 to 255 characters.
    pub title: String,
    /// How far it is, up to 255 characters of free text.
    pub stage: Option<String>,
    /// What it is worth: 18 digits, two of them after the point.
    pub amount: Option<Decimal>,
    /// The currency of that, ISO 4217.
    pub currency: Option<String>,
    /// Description, up to 1024 characters.
    pub description: Option<String>,
    /// False once archived.
    pub active: bool,
}

impl RecordForm {
    /// Returns a form with a title and nothing else.
    pub fn titled(of: RecordKind, title: &str) -> Self {
        Self {
            of,
            item_type: None,
            title: title.to_owned(),
            stage: None,
            amount: None,
            currency: None,
            description: None,
        }
    }

    /// Returns the fields of a new, active record.
    ///
    /// # Errors
    /// Names every field that is blank, too long, out of range, or not of such a record.
    pub fn check(&self) -> Result<RecordFields, Vec<FieldError>> {
        let mut errors = Vec::new();
        let custom = self.of == RecordKind::Custom;
        match self.item_type {
            None if custom => errors.push(FieldError::new("Type", "can't be blank")),
            Some(_) if !custom => {
                errors.push(FieldError::new("Type", "is for custom items only"));
            }
            _ => {}
        }
        let mut take = Errors(&mut errors);
        let amount = take.value(field::amount("Amount", self.amount));
        let currency = take.value(currency(self.currency.as_deref()));
        if !self.of.kind().has_amount() && (amount.is_some() || currency.is_some()) {
            take.value::<()>(Err(FieldError::new(
                "Amount",
                "is for deals and invoices only",
            )));
        } else if amount.is_some() && currency.is_none() {
            take.value::<()>(Err(FieldError::new("Currency", "can't be blank")));
        }
        let fields = RecordFields {
            of: self.of,
            item_type: self.item_type,
            title: take.value(field::required("Title", &self.title, MAX_NAME)),
            stage: take.value(field::optional("Stage", self.stage.as_deref(), MAX_NAME)),
            amount,
            currency,
            description: take.value(description(self.description.as_deref())),
            active: true,
        };
        all(fields, errors)
    }
}

impl RecordPatch {
    /// Returns the form that somebody who knows a record's fields would have to fill in to change it so.
    pub(super) fn onto(&self, fields: &RecordFields) -> RecordForm {
        RecordForm {
            of: fields.of,
            item_type: fields.item_type,
            title: patched(&fields.title, self.title.as_ref()),
            stage: patched(&fields.stage, self.stage.as_ref()),
            amount: self.amount.unwrap_or(fields.amount),
            currency: patched(&fields.currency, self.currency.as_ref()),
            description: patched(&fields.description, self.description.as_ref()),
        }
    }
}

/// Returns the name of a type without the blanks around it.
///
/// # Errors
/// Where it is blank or too long.
pub fn type_name(name: &str) -> Result<String, FieldError> {
    field::required("Name", name, MAX_NAME)
}

/// Returns the code of a currency in capitals.
fn currency(value: Option<&str>) -> Result<Option<String>, FieldError> {
    let Some(code) = field::optional("Currency", value, MAX_NAME)? else {
        return Ok(None);
    };
    let code = code.to_ascii_uppercase();
    if CURRENCIES.split_whitespace().any(|known| known == code) {
        Ok(Some(code))
    } else {
        let problem = "is no currency: use a code of ISO 4217 such as EUR";
        Err(FieldError::new("Currency", problem))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(form: &RecordForm) -> Vec<String> {
        let errors = form.check().err().unwrap_or_default();
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_deal_is_worth_something_in_a_currency() {
        let deal = RecordForm {
            amount: Some("12.345".parse().unwrap()),
            currency: Some(" eur ".into()),
            stage: Some(" won ".into()),
            ..RecordForm::titled(RecordKind::Deal, " Chairs ")
        };
        let fields = deal.check().unwrap();
        assert_eq!(fields.amount.unwrap().to_string(), "12.35");
        assert_eq!(fields.currency.as_deref(), Some("EUR"));
        assert_eq!(
            (fields.title.as_str(), fields.stage.as_deref()),
            ("Chairs", Some("won"))
        );
        let without = RecordForm {
            currency: None,
            ..deal.clone()
        };
        assert_eq!(said(&without), ["Currency can't be blank"]);
        for wrong in ["EURO", "XXZ", "E R", "AED AFN"] {
            let form = RecordForm {
                currency: Some(wrong.into()),
                ..deal.clone()
            };
            assert_eq!(
                said(&form)[0],
                "Currency is no currency: use a code of ISO 4217 such as EUR",
                "{wrong}"
            );
        }
    }

    #[test]
    fn every_bad_field_is_named_at_once() {
        let form = RecordForm {
            item_type: Some(ItemTypeId(1)),
            amount: Some(Decimal::from(1)),
            currency: Some("EUR".into()),
            stage: Some("s".repeat(256)),
            description: Some("d".repeat(1025)),
            ..RecordForm::titled(RecordKind::Lead, " ")
        };
        assert_eq!(
            said(&form),
            [
                "Type is for custom items only",
                "Amount is for deals and invoices only",
                "Title can't be blank",
                "Stage is too long (maximum is 255 characters)",
                "Description is too long (maximum is 1024 characters)",
            ]
        );
        assert_eq!(
            said(&RecordForm::titled(RecordKind::Custom, "x")),
            ["Type can't be blank"]
        );
    }
}
