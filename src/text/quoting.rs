//! Quotes commands as they would be typed in a shell.

/// A command as typed in a POSIX shell: each word is quoted where it needs to be.
pub fn shell_command(words: &[String]) -> String {
    // Only a NUL byte can't be quoted, and arguments have none.
    shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_where_they_need_to_be() {
        let command = |words: &[&str]| shell_command(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert_eq!(command(&["make", "-j4", "a/b.c"]), "make -j4 a/b.c");
        assert_eq!(command(&["echo", "", "two words", "it's"]), "echo '' 'two words' \"it's\"");
    }
}
