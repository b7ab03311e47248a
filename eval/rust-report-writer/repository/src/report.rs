//! The reports.

use std::collections::BTreeMap;

use crate::amount;
use crate::journal::Journal;

/// Every entry, with what is in the cash box after it.
pub fn register(journal: &Journal) {
    let mut total = 0;
    for entry in &journal.entries {
        total += entry.cents;
        print!("{} {:<10} ", entry.date, entry.purpose);
        print_amount(entry.cents);
        print!(" ");
        print_amount(total);
        println!();
    }
}

/// The sum of each purpose, and of all.
pub fn balance(journal: &Journal) {
    let mut sums = BTreeMap::new();
    for entry in &journal.entries {
        *sums.entry(entry.purpose.as_str()).or_insert(0) += entry.cents;
    }
    for (purpose, cents) in &sums {
        print!("{purpose:<10} ");
        print_amount(*cents);
        println!();
    }
    print_rule();
    print!("{:<10} ", "");
    print_amount(sums.values().sum());
    println!();
}

/// The sum of each month.
pub fn monthly(journal: &Journal) {
    let mut sums = BTreeMap::new();
    for entry in &journal.entries {
        *sums.entry(&entry.date[..7]).or_insert(0) += entry.cents;
    }
    if sums.is_empty() {
        println!("no entries");
        return;
    }
    for (month, cents) in sums {
        println!("{month} {:>9}", amount::write(cents));
    }
}

fn print_amount(cents: i64) {
    print!("{:>10}", amount::write(cents));
}

fn print_rule() {
    println!("{}", "-".repeat(21));
}
