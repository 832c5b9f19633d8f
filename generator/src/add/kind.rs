//! The kinds that `--kind` names, and the file that declares them.

use heck::ToShoutySnakeCase;

use crate::add::project::Runtime;

/// `NAME:KEY:VALUE`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    pub name: String,
    key: Key,
    /// The name of its type.
    pub value: String,
    /// Rows of a Query.
    is_list: bool,
}

/// What the function asks with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// There is one item alone.
    One,
    /// The partition key, by its type.
    Partition(String),
    Both(String, String),
}

const NUMBERS: [&str; 10] = [
    "u8", "u16", "u32", "u64", "usize", "i8", "i16", "i32", "i64", "isize",
];

impl Kind {
    /// # Errors
    /// What is allowed.
    pub fn parse(given: &str) -> Result<Self, String> {
        let parts: Vec<_> = given.split(':').map(str::trim).collect();
        let [name, key, value] = parts[..] else {
            return Err("a kind is NAME:KEY:VALUE, such as customers:String:Customer".into());
        };
        let is_word = |word: &str, first: fn(&char) -> bool, rest: fn(char) -> bool| {
            word.chars().next().is_some_and(|letter| first(&letter)) && word.chars().all(rest)
        };
        let is_low = |letter: char| matches!(letter, 'a'..='z' | '0'..='9' | '_');
        if !is_word(name, char::is_ascii_lowercase, is_low)
            || name.len() > 40
            || name == "shared"
            || name.ends_with("absent")
            || is_keyword(name)
        {
            return Err(format!(
                "`{name}` cannot name a kind: use a-z, 0-9 and _, a letter first, at most 40, not `shared`, no \
                 word of Rust, and no `absent` at the end"
            ));
        }
        let (value, is_list) = match value
            .strip_prefix("Vec<")
            .and_then(|it| it.strip_suffix('>'))
        {
            Some(value) => (value.trim(), true),
            None => (value, false),
        };
        let is_letter = |letter: char| letter.is_ascii_alphanumeric();
        if !is_word(value, char::is_ascii_uppercase, is_letter) || has_word(RESERVED, value) {
            return Err(format!(
                "`{value}` cannot name a new type: use a name such as Customer, or 'Vec<Order>' for what a Query \
                 finds"
            ));
        }
        let key = Key::parse(key).ok_or_else(|| {
            format!(
                "`{key}` is no key: use String, 'Vec<u8>', a whole number such as u64, '()' where there is one \
                 item alone, or two of them for a partition and a sort key, '(String,u64)'"
            )
        })?;
        if is_list && matches!(&key, Key::Both(_, sort) if NUMBERS.contains(&sort.as_str())) {
            return Err("what a Query finds begins with a text or bytes: use String or Vec<u8> for the second".into());
        }
        Ok(Kind {
            name: name.into(),
            key,
            value: value.into(),
            is_list,
        })
    }

    /// The type of its cache.
    fn cache(&self) -> String {
        let key = match &self.key {
            Key::One => "()".into(),
            Key::Partition(key) => key.clone(),
            Key::Both(partition, sort) => format!("({partition}, {sort})"),
        };
        match self.is_list {
            true => format!("Rows<{key}, {}>", self.value),
            false => format!("Items<{key}, {}>", self.value),
        }
    }

    /// Its declaration in `caches!`, with the name of its table there.
    fn declaration(&self, table: &str, tags: &Tags) -> String {
        let (name, cache) = (&self.name, self.cache());
        let tag = self.value.to_shouty_snake_case();
        let of = |word: &str, kind: &str| match kind {
            "String" | "Vec<u8>" => format!("{word}.clone()"),
            _ => format!("*{word}"),
        };
        let (pattern, key) = match &self.key {
            Key::One => ("()".into(), format!("\"{tag}\"")),
            Key::Partition(kind) if kind == "String" && tags.has(&tag) => {
                ("id".to_string(), format!("format!(\"{tag}#{{id}}\")"))
            }
            Key::Partition(kind) => ("id".into(), of("id", kind)),
            Key::Both(partition, sort) => (
                "(partition, sort)".into(),
                format!("({}, {})", of("partition", partition), of("sort", sort)),
            ),
        };
        let source = match (self.is_list, &self.key) {
            (true, Key::Both(partition, sort)) => format!(
                "{table}.query(|(partition, sort)| Query::partition({}).begins_with({}))",
                of("partition", partition),
                of("sort", sort)
            ),
            (true, _) => format!("{table}.query(|{pattern}| {key})"),
            (false, _) => format!("{table}.item(|{pattern}| {key})"),
        };
        let line = format!("        {name}: {cache} = {source};");
        match line.len() {
            0..=100 => line,
            // As rustfmt would, which does not look into macros.
            _ => format!("        {name}: {cache} =\n            {source};"),
        }
    }

    /// How the handler asks for one.
    pub fn lookup(&self) -> String {
        let key = match &self.key {
            Key::One => "&()",
            _ => "&key",
        };
        format!(
            "let {name} = caches.{name}.get({key}, invocation.deadline()).await?;",
            name = self.name
        )
    }
}

/// What the file uses itself.
const RESERVED: &str = "Caches Client Context Deserialize Environment EnvironmentError Invocation Items KeyType \
    LambdaEvent MemSize Query Request Result Rows Self String Table TableKey Vec";

fn has_word(words: &str, word: &str) -> bool {
    words.split_whitespace().any(|it| it == word)
}

/// Of any edition; and what every declaration has besides the kinds.
pub fn is_keyword(word: &str) -> bool {
    const WORDS: &str = "abstract as async await become box break const continue crate do dyn else enum extern \
        false final fn for gen if impl in let loop macro match mod move mut override priv pub ref report return \
        self static struct super trait true try type typeof unsafe unsized use virtual where while yield";
    has_word(WORDS, word)
}

impl Key {
    fn parse(given: &str) -> Option<Self> {
        let given = given.replace(' ', "");
        let is_key = |kind: &str| kind == "String" || kind == "Vec<u8>" || NUMBERS.contains(&kind);
        if given == "()" {
            return Some(Key::One);
        }
        if is_key(&given) {
            return Some(Key::Partition(given));
        }
        let inner = given.strip_prefix('(')?.strip_suffix(')')?;
        let (partition, sort) = inner.split_once(',')?;
        (is_key(partition) && is_key(sort)).then(|| Key::Both(partition.into(), sort.into()))
    }

    /// The types of the table's key that it is, as DynamoDB names them.
    fn types(&self) -> Vec<&'static str> {
        let of = |kind: &str| match kind {
            "String" => "S",
            "Vec<u8>" => "B",
            _ => "N",
        };
        match self {
            Key::One => vec!["S"],
            Key::Partition(key) => vec![of(key)],
            Key::Both(partition, sort) => vec![of(partition), of(sort)],
        }
    }
}

/// What the package calls the crates that the file uses.
pub struct Names {
    pub cache_core: String,
    pub dynamodb: String,
    pub mem_dbg: String,
    pub serde: String,
    /// The runtime's crate.
    pub runtime: Option<(Runtime, String)>,
}

/// What text keys begin with in the code, up to a `#`: `USER` in `USER#1`.
#[derive(Default)]
pub struct Tags(pub Option<Vec<String>>);

impl Tags {
    /// Whether keys have that tag: most tables of more than one kind do, where nothing is known.
    fn has(&self, tag: &str) -> bool {
        let known = self.0.as_ref();
        known.is_none_or(|known| known.iter().any(|it| it == tag))
    }
}

/// The names and types of a table's key: of the partition key and, if there is one, of the sort key.
pub type KeyParts = Vec<(String, String)>;

/// A table, as the kinds ask it: which table a kind is in nobody says, so each form of a key is one.
pub struct Table<'a> {
    /// In the code. A variable and a constant are named after it.
    name: String,
    key: KeyParts,
    kinds: Vec<&'a Kind>,
}

impl<'a> Table<'a> {
    /// The tables of the kinds. `seen` are keys in the code, which have names.
    pub fn of(kinds: &'a [Kind], seen: &[KeyParts]) -> Vec<Self> {
        let types = |kind: &Kind| {
            let types = kind.key.types();
            let begins =
                |other: &Kind| other.key.types().len() == 2 && other.key.types()[0] == types[0];
            match (kind.is_list, kinds.iter().find(|it| begins(it))) {
                // What a Query finds has a sort key, so it is in the table of a kind that has one.
                (true, Some(other)) => other.key.types(),
                (true, None) => vec![types[0], "S"],
                (false, _) => types,
            }
        };
        let mut tables: Vec<(Vec<&str>, Vec<&Kind>)> = Vec::new();
        for kind in kinds {
            let types = types(kind);
            match tables.iter_mut().find(|(of, _)| *of == types) {
                Some((_, kinds)) => kinds.push(kind),
                None => tables.push((types, vec![kind])),
            }
        }
        let is_one = tables.len() == 1;
        let tables = tables.into_iter().map(|(types, kinds)| {
            let is_it = |key: &&KeyParts| {
                key.iter()
                    .map(|(_, kind)| kind.as_str())
                    .eq(types.iter().copied())
            };
            let named = || ["pk", "sk"].into_iter().zip(&types);
            let named = || named().map(|(name, kind)| (name.to_string(), kind.to_string()));
            Table {
                name: match is_one {
                    true => "table".into(),
                    false => format!("{}_table", kinds[0].name),
                },
                key: seen
                    .iter()
                    .find(is_it)
                    .cloned()
                    .unwrap_or_else(|| named().collect()),
                kinds,
            }
        });
        tables.collect()
    }

    pub fn declarations<'b>(
        &'b self,
        tags: &'b Tags,
    ) -> impl Iterator<Item = (&'a Kind, String)> + 'b {
        self.kinds
            .iter()
            .map(|kind| (*kind, kind.declaration(&self.name, tags)))
    }

    /// The variable with its name.
    fn variable(&self) -> String {
        format!("{}_NAME", self.name.to_ascii_uppercase())
    }

    /// The constant of its key.
    fn constant(&self) -> String {
        let name = self.name.to_ascii_uppercase();
        let name = name.strip_suffix("TABLE").unwrap_or_default();
        format!("{name}KEY")
    }

    fn definition(&self) -> String {
        let mut key = String::from("TableKey");
        for ((name, kind), part) in self.key.iter().zip(["::partition", ".sort"]) {
            key += &format!("{part}({name:?}, KeyType::{kind})");
        }
        format!("const {}: TableKey = {key};\n", self.constant())
    }
}

/// `src/caches.rs`.
pub fn file(tables: &[Table], tags: &Tags, names: &Names) -> String {
    let Names {
        cache_core,
        dynamodb,
        mem_dbg,
        serde,
        runtime,
    } = names;
    let kinds: Vec<_> = tables.iter().flat_map(|table| &table.kinds).collect();
    let has = |is_list| kinds.iter().any(|kind| kind.is_list == is_list);
    let is_narrowed = kinds
        .iter()
        .any(|it| it.is_list && matches!(it.key, Key::Both(..)));
    let uses = [
        (has(false), "Items"),
        (true, "KeyType"),
        (is_narrowed, "Query"),
        (has(true), "Rows"),
        (true, "Table"),
        (true, "TableKey"),
        (true, "with_limits"),
    ];
    let uses = uses
        .iter()
        .filter(|(is_used, _)| *is_used)
        .map(|(_, name)| *name);
    let mut imports = vec![
        format!("use {dynamodb}::Client;"),
        format!("use {cache_core}::caches;"),
        format!(
            "use {cache_core}::dynamodb::{{{}}};",
            uses.collect::<Vec<_>>().join(", ")
        ),
        format!("use {cache_core}::environment::{{Environment, EnvironmentError}};"),
        format!("use {mem_dbg}::MemSize;"),
        format!("use {serde}::Deserialize;"),
    ];
    let deadline = runtime.as_ref().map(|(runtime, name)| {
        imports.push(format!("use {cache_core}::invocation::Invocation;"));
        match runtime {
            Runtime::Events => {
                imports.push(format!("use {name}::LambdaEvent;"));
                OF_EVENTS
            }
            Runtime::Http => {
                imports.push(format!("use {name}::{{Context, Request}};"));
                OF_HTTP
            }
        }
    });
    imports.sort();
    let each = |line: &dyn Fn(&Table) -> String| -> String { tables.iter().map(line).collect() };
    let joined =
        |part: &dyn Fn(&Table) -> String| tables.iter().map(part).collect::<Vec<_>>().join(", ");
    let keys = match tables {
        [_] => "The key of the table, as its definition has it.",
        _ => "The keys of the tables, as their definitions have them.",
    };
    let mut file = format!(
        "//! What this function keeps in memory: one declaration for each kind of data.

{imports}

// {keys}
{constants}
caches! {{
    /// It lives as long as the execution environment. Clones share what it holds.
    pub struct Caches({sources}) {{
{declarations}    }}
}}

/// Makes the caches, once, before the first event. Of the variables those that begin with `CACHE_` have defaults.
///
/// # Errors
/// When a variable is wrong: which one, and what is allowed.
pub fn open(client: &Client) -> Result<Caches, EnvironmentError> {{
    // Time-outs and attempts that fit into an invocation, for what the caches read.
    let client = Client::from_conf(with_limits(client.config().to_builder()).build());
    let mut environment = Environment::of_process();
{tables}    Caches::new(environment, {arguments})
}}
",
        imports = imports.join("\n"),
        constants = each(&|table| table.definition()),
        sources = joined(&|table| format!("{}: &Table", table.name)),
        declarations = each(&|table| {
            table.declarations(tags).map(|(_, line)| format!("{line}\n")).collect()
        }),
        tables = each(&|table| {
            let clone = if tables.len() > 1 { "client.clone()" } else { "client" };
            let (name, variable, key) = (&table.name, table.variable(), table.constant());
            format!(
                "    let name = environment.table_name({variable:?});\n    \
                 let {name} = Table::new({clone}, name, {key});\n"
            )
        }),
        arguments = joined(&|table| format!("&{}", table.name)),
    );
    if let Some(deadline) = deadline {
        file += deadline;
    }
    let mut declared: Vec<&String> = Vec::new();
    for kind in kinds {
        if declared.contains(&&kind.value) {
            continue;
        }
        declared.push(&kind.value);
        let path = match serde.as_str() {
            "serde" => String::new(),
            renamed => format!("#[serde(crate = {renamed:?})]\n"),
        };
        file += &format!(
            "\n/// Its fields are the attributes that the function reads.\n\
             #[derive(Deserialize, MemSize)]\n{path}#[mem_size(flat)] // while no field has anything on the heap\n\
             pub struct {} {{}}\n",
            kind.value
        );
    }
    file
}

const OF_EVENTS: &str = "
/// Has the time to read, and prints metrics when it is dropped: keep it until the answer is there.
pub fn invocation<'a, T>(caches: &'a Caches, event: &LambdaEvent<T>) -> Invocation<'a> {
    caches.invocation(event.context.deadline)
}
";
const OF_HTTP: &str = "
/// Has the time to read, and prints metrics when it is dropped: keep it until the answer is there.
pub fn invocation<'a>(caches: &'a Caches, request: &Request) -> Invocation<'a> {
    let context = request.extensions().get::<Context>();
    caches.invocation(context.map_or(0, |context| context.deadline))
}
";
