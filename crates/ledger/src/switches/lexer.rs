//! Statements of SQL as tokens, as far as a switch of the audit needs it: what is a string, a name in
//! backquotes or a comment (and which comments are code) as MariaDB tells it. Touches nothing.

/// A piece of a statement. Words are in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// A word or a number.
    Word(Vec<u8>),
    /// A name in backquotes, in lower case too.
    Name(Vec<u8>),
    /// A string.
    Text(Vec<u8>),
    /// `@@`
    Variable,
    /// `:=`
    Becomes,
    /// Any other sign.
    Sign(u8),
    End,
    /// The statement ends inside a string, a name or a comment.
    Cut,
}

pub(super) struct Lexer<'a> {
    text: &'a [u8],
    at: usize,
    /// Inside a comment that is code.
    in_code: bool,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a [u8]) -> Lexer<'a> {
        Lexer { text, at: 0, in_code: false }
    }

    /// The next one. Behind the last it is [`Token::End`] or [`Token::Cut`], again and again.
    pub(super) fn next(&mut self) -> Token {
        if let Err(cut) = self.skip_blanks() {
            return cut;
        }
        let rest = &self.text[self.at..];
        let Some(&first) = rest.first() else {
            return if self.in_code { Token::Cut } else { Token::End };
        };
        let is_word =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"_$".contains(byte) || *byte >= 128;
        let words = rest.iter().take_while(|byte| is_word(byte)).count();
        if words > 0 {
            self.at += words;
            return Token::Word(rest[..words].to_ascii_lowercase());
        }
        match first {
            b'\'' | b'"' | b'`' => self.quoted(first),
            b'@' if rest.get(1) == Some(&b'@') => self.step(2, Token::Variable),
            b':' if rest.get(1) == Some(&b'=') => self.step(2, Token::Becomes),
            sign => self.step(1, Token::Sign(sign)),
        }
    }

    fn step(&mut self, bytes: usize, token: Token) -> Token {
        self.at += bytes;
        token
    }

    /// Blanks and comments; those that are code are opened.
    fn skip_blanks(&mut self) -> Result<(), Token> {
        loop {
            let rest = &self.text[self.at..];
            let skipped = match rest {
                [b'#', ..] => line_bytes(rest),
                [b'-', b'-'] => 2,
                [b'-', b'-', next, ..] if next.is_ascii_whitespace() || next.is_ascii_control() => {
                    line_bytes(rest)
                }
                [b'/', b'*', b'!', ..] | [b'/', b'*', b'M', b'!', ..] => {
                    self.in_code = true;
                    let mark = if rest[2] == b'M' { 4 } else { 3 };
                    mark + rest[mark..].iter().take_while(|it| it.is_ascii_digit()).count()
                }
                [b'/', b'*', ..] => match rest[2..].windows(2).position(|it| it == b"*/") {
                    Some(end) => end + 4,
                    None => return Err(Token::Cut),
                },
                [b'*', b'/', ..] if self.in_code => {
                    self.in_code = false;
                    2
                }
                [byte, ..] if byte.is_ascii_whitespace() || byte.is_ascii_control() => 1,
                _ => return Ok(()),
            };
            self.at += skipped;
        }
    }

    /// A string or a name in backquotes: a quote inside is doubled, or in a string escaped.
    fn quoted(&mut self, quote: u8) -> Token {
        let mut inside = Vec::new();
        let mut rest = self.text[self.at + 1..].iter().enumerate();
        while let Some((i, &byte)) = rest.next() {
            match byte {
                b'\\' if quote != b'`' => match rest.next() {
                    Some((_, &escaped)) => inside.push(escaped),
                    None => return Token::Cut,
                },
                _ if byte != quote => inside.push(byte),
                _ if self.text.get(self.at + i + 2) == Some(&quote) => {
                    inside.push(quote);
                    rest.next();
                }
                _ => {
                    self.at += i + 2;
                    return match quote {
                        b'`' => Token::Name(inside.to_ascii_lowercase()),
                        _ => Token::Text(inside),
                    };
                }
            }
        }
        Token::Cut
    }
}

fn line_bytes(text: &[u8]) -> usize {
    text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |at| at + 1)
}
