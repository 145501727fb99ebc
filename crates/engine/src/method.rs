//! By which method the content of a dataset is compared: by its rows, or by its pages where the
//! replica is a copy of the source's files.

use crate::job::Work;
use paritas_connect::{Error, FailureKind};
use paritas_model::ParseQuantityError;
use paritas_verify::rows::{self, Origin, Outcome};
use paritas_verify::{Choice, Plan, pages};
use std::str::FromStr;

/// What to compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Method {
    /// Pages where that proves as much and is possible, rows otherwise.
    #[default]
    Auto,
    /// Rows.
    Rows,
    /// Pages; where that is not possible, nothing is verified.
    Pages,
}

impl FromStr for Method {
    type Err = ParseQuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "auto" => Ok(Self::Auto),
            "rows" => Ok(Self::Rows),
            "pages" => Ok(Self::Pages),
            _ => Err(ParseQuantityError {
                what: "method",
                text: text.to_owned(),
                hint: "known are auto, rows and pages",
            }),
        }
    }
}

/// Compares a dataset by the method that fits, and says which and why.
pub(crate) async fn compare(work: &Work<'_>, choice: &Choice, plan: &Plan, request: &rows::Request<'_>) -> Outcome {
    let method = work.options.method;
    if method == Method::Rows || (method == Method::Auto && !work.sides.physical) {
        return rows::verify(request).await;
    }
    let why = match unfit(work, choice, plan) {
        Some(why) => why,
        None => match pages::verify(request).await {
            Ok(outcome) => return outcome,
            Err(why) => why,
        },
    };
    if method == Method::Pages {
        let error = Error::new(FailureKind::Permanent, "method.pages", "pages cannot be compared").detail(why);
        let error = error.hint("leave --method out to compare rows");
        return Outcome { problem: Some((Origin::Comparison, error)), ..Outcome::default() };
    }
    let mut outcome = rows::verify(request).await;
    outcome.notes.push(format!("rows were compared, not pages: {why}"));
    outcome
}

/// Why comparing pages would not answer what is asked, if it would not.
fn unfit(work: &Work<'_>, choice: &Choice, plan: &Plan) -> Option<String> {
    let why = if !work.sides.physical {
        "the replica is not a physical standby of the source"
    } else if plan.canon.columns.is_empty() {
        "the table has no columns"
    } else if work.options.manners.rate.rows.is_some() {
        "reading is to keep to a number of rows a second"
    } else if work.keeper.keeps_digests() {
        "a digest of the rows is to be kept"
    } else if plan.source.filter.is_some() || plan.replica.filter.is_some() {
        "only rows that meet a condition are to be compared"
    } else if !choice.columns.is_empty() || !choice.rename.is_empty() || !plan.left_out.is_empty() {
        "not all columns are to be compared as they are"
    } else if plan.source.dataset != plan.replica.dataset {
        "the two sides are different tables"
    } else {
        return None;
    };
    Some(why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_by_their_names() {
        let known = ["auto", "rows", "pages"].map(|text| text.parse::<Method>().ok());
        assert_eq!(known, [Some(Method::Auto), Some(Method::Rows), Some(Method::Pages)]);
        assert!("Pages".parse::<Method>().is_err());
    }
}
