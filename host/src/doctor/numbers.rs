//! How numbers look to people.

/// `1234567` as `1,234,567`.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let (head, tail) = digits.split_at(first);
    let groups = tail.as_bytes().chunks(3).map(|group| group.iter().map(|digit| char::from(*digit)).collect());
    let groups: Vec<String> = [head.to_owned()].into_iter().filter(|head| !head.is_empty()).chain(groups).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn numbers_are_read_in_groups() {
        let numbers = [(0, "0"), (128, "128"), (1_000, "1,000"), (65_535, "65,535"), (1_048_576, "1,048,576")];
        for (number, text) in numbers {
            assert_eq!(grouped(number), text);
        }
    }
}
