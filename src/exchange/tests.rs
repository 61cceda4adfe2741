use std::io::{self, Read};

use proptest::prelude::*;

use super::*;

fn contact(cells: [&str; 6]) -> ContactRow {
    let [
        first_name,
        last_name,
        email,
        phone,
        organization,
        description,
    ] = cells.map(str::to_owned);
    ContactRow {
        first_name,
        last_name,
        email,
        phone,
        organization,
        description,
        active: None,
    }
}

fn read(bytes: &[u8]) -> Vec<Row<ContactRow>> {
    Contacts::open(bytes).unwrap().map(Result::unwrap).collect()
}

/// The lines of the rows and what they say: the cells, or what is wrong.
fn said(bytes: &[u8]) -> Vec<(u64, String)> {
    read(bytes)
        .into_iter()
        .map(|row| {
            let text = match row.content {
                Ok(row) => {
                    let state = row::state_word(row.active);
                    let cells = [
                        &row.first_name,
                        &row.last_name,
                        &row.email,
                        &row.phone,
                        &row.organization,
                        &row.description,
                    ];
                    let cells: Vec<&str> = cells.iter().map(|cell| cell.as_str()).collect();
                    format!("{} {state}", cells.join("|")).trim_end().to_owned()
                }
                Err(error) => error.to_string(),
            };
            (row.line, text)
        })
        .collect()
}

fn refused(bytes: &[u8]) -> String {
    match Contacts::open(bytes) {
        Err(error) => error.to_string(),
        Ok(mut rows) => {
            let error = rows.find_map(Result::err);
            error.expect("an error").to_string()
        }
    }
}

#[test]
fn titles_are_found_in_any_order_and_spelling() {
    for (titles, row, expected) in [
        ("First name,Last name", "Ada,Byron", "Ada|Byron||||"),
        ("last_name,FIRST NAME", "Byron,Ada", "Ada|Byron||||"),
        (
            "Given Name;Surname;E-mail",
            "Ada;Byron;a@b",
            "Ada|Byron|a@b|||",
        ),
        (
            "firstName\tlastName\tphone",
            "Ada\tByron\t1",
            "Ada|Byron||1||",
        ),
        (
            "Name,Email,Phone,Organisation,Notes,Status",
            "Ada King Byron,a@b,1,Acme,x,Inactive",
            "Ada King|Byron|a@b|1|Acme|x inactive",
        ),
        ("Name,First name", "Ada Byron,A.", "A.|Byron||||"),
        ("First name,Name", "A.,Ada Byron", "A.|Byron||||"),
        (
            "\"First, name\",Last name,active",
            "\"Ada, Countess\",Byron,TRUE",
            "Ada, Countess|Byron|||| active",
        ),
        ("First name,Last name,Email", "Ada,Byron", "Ada|Byron||||"),
        ("First name,Last name", "Ada,Byron,,", "Ada|Byron||||"),
    ] {
        let file = format!("{titles}\n{row}\n");
        assert_eq!(
            said(file.as_bytes()),
            [(2, expected.to_owned())],
            "{titles}"
        );
    }
}

#[test]
fn unknown_columns_are_reported_and_left_out() {
    let file = "Id,First name,,Last name,Shoe size\n7,Ada,x,Byron,38\n";
    let mut rows = Contacts::open(file.as_bytes()).unwrap();
    assert_eq!(rows.unknown_columns(), ["Id", "Shoe size"]);
    let row = rows.next().unwrap().unwrap();
    assert_eq!(row.content, Ok(contact(["Ada", "Byron", "", "", "", ""])));
}

#[test]
fn every_row_is_named_by_the_line_where_it_begins() {
    for end in ["\n", "\r\n"] {
        let lines = [
            "",
            "First name,Last name,Description",
            "Ada,Byron,\"one",
            "two \"\"quoted\"\"",
            "\"",
            "",
            " , ,",
            "Grace,Murray,",
            "Bad,Row,x,y",
            "Last,One,\"z\"",
        ];
        let two = format!("Ada|Byron||||one{end}two \"quoted\"");
        let expected = [
            (3, two.as_str()),
            (8, "Grace|Murray||||"),
            (
                9,
                "there are 4 cells in 3 columns: is a separator not quoted?",
            ),
            (10, "Last|One||||z"),
        ];
        let expected = expected.map(|(line, text)| (line, text.to_owned()));
        // With and without an end of the last line.
        for tail in [end, ""] {
            let file = format!("{}{tail}", lines.join(end));
            let found: Vec<_> = said(file.as_bytes());
            assert_eq!(found, expected, "{end:?} {tail:?}");
        }
    }
}

#[test]
fn a_quotation_mark_that_is_never_closed_takes_the_rest_of_a_short_file() {
    let file = b"First name,Last name\nAda,Byron\nGrace,\"Murray\nOtto,Motor";
    let expected = [(2, "Ada|Byron||||"), (3, "Grace|Murray\nOtto,Motor\n||||")];
    assert_eq!(
        said(file),
        expected.map(|(line, text)| (line, text.to_owned()))
    );
}

#[test]
fn files_of_spreadsheets_are_read_as_they_are_saved() {
    let text = "First name;Last name\r\nZoë;Åström\r\n";
    let expected = [(2, "Zoë|Åström||||".to_owned())];
    let utf16 = |bytes: fn(u16) -> [u8; 2]| {
        let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
        units.flat_map(bytes).collect::<Vec<u8>>()
    };
    assert_eq!(said(format!("\u{feff}{text}").as_bytes()), expected);
    assert_eq!(said(&utf16(u16::to_le_bytes)), expected);
    assert_eq!(said(&utf16(u16::to_be_bytes)), expected);
}

#[test]
fn a_bad_cell_costs_its_row_only() {
    let long = format!(
        "First name,Last name\n{},Byron\nAda,Byron",
        "x".repeat(20_000)
    );
    let expected = [
        (2, "First name is too long (maximum is 16 KiB)"),
        (3, "Ada|Byron||||"),
    ];
    assert_eq!(
        said(long.as_bytes()),
        expected.map(|(line, text)| (line, text.to_owned()))
    );
    let long = format!(
        "BEGIN:VCARD\nFN:Ada Byron\nNOTE:{}\nEND:VCARD\n",
        "x".repeat(20_000)
    );
    let expected = [(1, "Description is too long (maximum is 16 KiB)".to_owned())];
    assert_eq!(said(long.as_bytes()), expected);
    let file = b"First name,Last name,State\nAda,B\xFFron,\nA\0a,Byron,\nGrace,Murray,maybe\nOtto,Motor,no\n";
    let expected = [
        (2, "Last name is not text in UTF-8"),
        (3, "First name contains a NUL character"),
        (4, "State is neither \"active\" nor \"inactive\""),
        (5, "Otto|Motor|||| inactive"),
    ];
    assert_eq!(
        said(file),
        expected.map(|(line, text)| (line, text.to_owned()))
    );
}

#[test]
fn a_file_that_cannot_be_read_says_why() {
    let columns = vec!["x"; 257].join(",");
    for (file, sentence) in [
        (&b""[..], "the file is empty"),
        (b"\n\n", "the file is empty"),
        (
            b"First name\nAda\n",
            "there is no column \"Last name\": the first line has to name the columns, and this one is needed",
        ),
        (
            b"Ada,Byron\n",
            "there is no column \"First name\": the first line has to name the columns, and this one is needed",
        ),
        (
            b"First name,Given name,Last name\n",
            "the columns \"First name\" and \"Given name\" mean the same: keep one of them",
        ),
        (
            b"First n\xE4me,Last name\n",
            "the first line is not text in UTF-8: save the file as \"CSV UTF-8\"",
        ),
        (
            b"F\0i\0r\0s\0t\0",
            "the first line is not text in UTF-8: save the file as \"CSV UTF-8\"",
        ),
        (
            columns.as_bytes(),
            "there are 257 columns; at most 256 are read",
        ),
    ] {
        assert_eq!(refused(file), sentence);
    }
}

/// Gives bytes that are made as they are read, and counts them.
struct Endless<'a> {
    begin: &'a [u8],
    byte: u8,
    given: u64,
}

impl Read for Endless<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let from_begin = self.begin.read(buffer)?;
        buffer[from_begin..].fill(self.byte);
        self.given += buffer.len() as u64;
        Ok(buffer.len())
    }
}

#[test]
fn a_row_without_an_end_is_refused_before_it_fills_the_memory() {
    for (begin, byte, line) in [
        ("First name,Last name\nAda,Byron\n", b'x', 3),
        ("First name,Last name\nAda,Byron\nGrace,\"", b'\n', 3),
        ("First name,Last name\n", b',', 2),
        ("", b'x', 1),
        ("BEGIN:VCARD\nFN:Ada\n", b'x', 1),
        ("BEGIN:VCARD\nFN:Ada\nEND:VCARD\nBEGIN:VCARD\n", b'\n', 4),
    ] {
        let mut endless = Endless {
            begin: begin.as_bytes(),
            byte,
            given: 0,
        };
        let failed = match Contacts::open(&mut endless) {
            Err(error) => error,
            Ok(mut rows) => rows.find_map(Result::err).unwrap(),
        };
        let FileError::TooLong { line: told, .. } = failed else {
            panic!("{failed:?}");
        };
        assert_eq!(told, line, "{begin:?}");
        assert!(
            endless.given < 20 << 20,
            "{} bytes were read",
            endless.given
        );
    }
}

#[test]
fn cards_are_read_by_their_lines() {
    let file = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Byron;Ada;King;Countess;\r\nFN:Countess Ada\r\n\
        EMAIL;TYPE=INTERNET:second@example.com\r\nEMAIL;TYPE=INTERNET,pref:ada@\r\n example.com\r\n\
        TEL;TYPE=WORK:+44 1\r\nORG:Acme\\, Inc.;Research\r\nNOTE:one\\ntwo\\; three\r\nEND:VCARD\r\n\r\n\
        begin:vcard\r\nversion:4.0\r\nfn:Grace Brewster Murray\r\nTEL;VALUE=uri;PREF=1:tel:+1-555\r\n\
        PHOTO;ENCODING=b;TYPE=JPEG:AAAA\r\n BBBB\r\nend:vcard\r\n";
    let expected = [
        (
            1,
            "Ada King|Byron|ada@example.com|+44 1|Acme, Inc.|one\ntwo; three",
        ),
        (13, "Grace Brewster|Murray||+1-555||"),
    ];
    let expected = expected.map(|(line, text)| (line, text.to_owned()));
    assert_eq!(said(file.as_bytes()), expected);
    assert_eq!(said(file.replace("\r\n", "\n").as_bytes()), expected);
}

#[test]
fn a_bad_card_costs_itself_only() {
    let file = b"BEGIN:VCARD\nVERSION:2.1\nN;ENCODING=QUOTED-PRINTABLE:=C3=84;Ada\nEND:VCARD\n\
        BEGIN:VCARD\nFN:Open Card\n\
        BEGIN:VCARD\nVERSION:4.0\nKIND:org\nFN:Acme\nEND:VCARD\n\
        stray line\n\
        BEGIN:VCARD\nFN:Zo\xFF\nEND:VCARD\n\
        BEGIN:VCARD\nFN:A\0a\nEND:VCARD\n\
        BEGIN:VCARD\nFN:Ada Byron\nX-LIAISON-STATE:inactive\nEND:VCARD\n\
        BEGIN:VCARD\nFN:Last One";
    let expected = [
        (
            1,
            "the card is in the quoted-printable form of vCard 2.1: export it as vCard 3.0 or 4.0",
        ),
        (5, "the card does not end: END:VCARD is missing"),
        (7, "the card is not of a person"),
        (
            12,
            "there is text outside of a card: a card begins with BEGIN:VCARD",
        ),
        (14, "line 14 is not text in UTF-8"),
        (17, "line 17 contains a NUL character"),
        (19, "Ada|Byron|||| inactive"),
        (23, "the card does not end: END:VCARD is missing"),
    ];
    let mut expected = expected.map(|(line, text)| (line, text.to_owned()));
    // Cards are named by their first line, and what is wrong by its own.
    expected[4].0 = 13;
    expected[5].0 = 16;
    assert_eq!(said(file), expected);
}

#[test]
fn an_export_is_text_for_every_spreadsheet() {
    let mut writer = TableWriter::new(Vec::new()).unwrap();
    let mut row = contact([
        "=HYPERLINK(\"http://x\")",
        "@SUM",
        "-a@example.com",
        "+49 1",
        "Acme, Inc.",
        "two\nlines",
    ]);
    row.active = Some(true);
    writer.write(&row).unwrap();
    let file = String::from_utf8(writer.finish().unwrap()).unwrap();
    assert_eq!(
        file,
        "First name,Last name,Email,Phone,Organization,Description,State\r\n\
         \"'=HYPERLINK(\"\"http://x\"\")\",'@SUM,'-a@example.com,'+49 1,\"Acme, Inc.\",\"two\nlines\",active\r\n"
    );
    assert_eq!(read(file.as_bytes())[0].content, Ok(row));
}

fn text() -> impl Strategy<Value = String> {
    // What makes trouble is likelier than chance would have it.
    let trouble = "['\"=+\\-@,;:\\\\\t\r\n ]{0,4}";
    (trouble, "[^\0]{0,12}", trouble).prop_map(|(a, b, c)| format!("{a}{b}{c}"))
}

prop_compose! {
    fn rows()(cells in prop::collection::vec(prop::array::uniform6(text()), 1..4), active in any::<Option<bool>>())
        -> Vec<ContactRow> {
        cells
            .iter()
            .map(|cells| {
                let mut row = contact(cells.each_ref().map(String::as_str));
                row.active = active;
                row
            })
            .collect()
    }
}

proptest! {
    #[test]
    fn csv_comes_back_as_it_went(rows in rows()) {
        let is_blank = |row: &ContactRow| {
            let cells = [&row.first_name, &row.last_name, &row.email, &row.phone, &row.organization, &row.description];
            row.active.is_none() && cells.iter().all(|cell| cell.trim_ascii().is_empty())
        };
        prop_assume!(!rows.iter().any(is_blank));
        let mut writer = TableWriter::new(Vec::new()).unwrap();
        for row in &rows {
            writer.write(row).unwrap();
        }
        let file = writer.finish().unwrap();
        let back: Vec<_> = read(&file).into_iter().map(|row| row.content.unwrap()).collect();
        prop_assert_eq!(back, rows);
    }

    #[test]
    fn cards_come_back_as_they_went(rows in rows()) {
        // What is stored is trimmed and has both names; a card says nothing of what is active.
        let rows: Vec<ContactRow> = rows
            .into_iter()
            .map(|row| ContactRow {
                first_name: format!("A{}", row.first_name.trim()),
                last_name: format!("B{}", row.last_name.trim()),
                email: row.email.trim().to_owned(),
                phone: row.phone.trim().to_owned(),
                organization: row.organization.trim().to_owned(),
                description: row.description.trim().to_owned(),
                active: row.active.filter(|active| !active),
            })
            .collect();
        let mut file = String::new();
        for row in &rows {
            write_card(&mut file, row).unwrap();
        }
        let back: Vec<_> = read(file.as_bytes()).into_iter().map(|row| row.content.unwrap()).collect();
        prop_assert_eq!(back, rows);
    }

    #[test]
    fn no_file_makes_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), kind in 0_usize..3) {
        let begin: &[u8] = [&b"First name,Last name\n"[..], b"BEGIN:VCARD\n", b""][kind];
        let file: Vec<u8> = begin.iter().chain(&bytes).copied().collect();
        if let Ok(rows) = Contacts::open(file.as_slice()) {
            for row in rows.flatten() {
                prop_assert!(row.line >= 1);
            }
        }
    }

    #[test]
    fn no_card_makes_the_parser_panic(lines in prop::collection::vec(
        "(N|FN|EMAIL|TEL|ORG|NOTE|KIND|VERSION|PHOTO|BDAY|X-A)(;[A-Z]{1,4}=?[a-z\",;:=\\\\]{0,6}){0,2}:[ -~]{0,20}", 0..8)) {
        let file = format!("BEGIN:VCARD\r\n{}\r\nEND:VCARD\r\n", lines.join("\r\n"));
        prop_assert_eq!(read(file.as_bytes()).len(), 1);
    }
}
