//! `meseta weight`: how much roles get beside each other.

use meseta_proto::v1::WeightInfo;
use meseta_proto::v1::master::Call;
use meseta_proto::v1::master::call::{self, Type};

use super::arguments::Weight as Command;
use super::client::{Client, to_master};
use super::error::Error;
use super::output::{Output, Table};
use super::text;

pub(super) fn run(command: Command, client: &Client, output: &Output) -> Result<(), Error> {
    match command {
        Command::List => list(client, output),
        Command::Set { weights } => {
            let call = Call {
                update_weights: Some(call::UpdateWeights {
                    weight_infos: all_of(&weights)?,
                }),
                ..to_master(Type::UpdateWeights)
            };
            client.change(&call, &format!("set the weights {}", weights.join(" ")))?;
            output.done("The weights are set.")
        }
    }
}

/// One weight for each role.
fn all_of(words: &[String]) -> Result<Vec<WeightInfo>, Error> {
    let mut infos: Vec<WeightInfo> = Vec::new();
    for word in words {
        let info = parsed(word)?;
        if infos.iter().any(|known| known.role() == info.role()) {
            return Err(Error::Word {
                what: "weight",
                value: word.clone(),
                reason: "its role has another one before".to_owned(),
            });
        }
        infos.push(info);
    }
    Ok(infos)
}

fn parsed(text: &str) -> Result<WeightInfo, Error> {
    let refused = || Error::Word {
        what: "weight",
        value: text.to_owned(),
        reason: "expected ROLE=WEIGHT with a weight above 0, such as web=2".to_owned(),
    };
    let (role, weight) = text.rsplit_once('=').ok_or_else(refused)?;
    let weight: f64 = weight.parse().map_err(|_| refused())?;
    if role.is_empty() || !weight.is_finite() || weight <= 0.0 {
        return Err(refused());
    }
    Ok(WeightInfo {
        weight,
        role: Some(role.to_owned()),
    })
}

fn list(client: &Client, output: &Output) -> Result<(), Error> {
    let answer = client.ask(Type::GetWeights, "list the weights")?;
    let weights = answer.get_weights.unwrap_or_default();
    if !output.is_for_people() {
        return output.message(&weights);
    }
    let mut table = Table::new(["ROLE", "WEIGHT"]);
    for info in &weights.weight_infos {
        table.row([info.role().to_owned(), text::number(info.weight)]);
    }
    output.table(&table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_are_positive_numbers_of_roles() {
        let info = parsed("a/b=2.5").unwrap();
        assert_eq!((info.role(), info.weight), ("a/b", 2.5));
        for text in ["web", "=2", "web=", "web=0", "web=-1", "web=NaN", "web=inf"] {
            assert!(parsed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_role_has_one_weight() {
        let words =
            |words: &[&str]| all_of(&words.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(words(&["web=2", "db=1"]).unwrap().len(), 2);
        assert!(words(&["web=2", "web=3"]).is_err());
    }
}
