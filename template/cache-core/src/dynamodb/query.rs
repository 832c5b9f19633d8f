//! The loader of rows: a Query of a partition, or of a part of it.

use std::marker::PhantomData;
use std::sync::Arc;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::join_all;
use serde::de::DeserializeOwned;

use super::{KeyValue, Table, TableKey, decode};
use crate::clock::Clock;
use crate::{Deadline, Found, Key, Loaded, Loader, ReadError};

/// Which rows are read for a key. Made from the value of the partition key alone, it is the whole
/// partition.
#[derive(Clone, Debug, PartialEq)]
pub struct Query {
    partition: KeyValue,
    range: Range,
    descending: bool,
    limit: Option<usize>,
}

#[derive(Clone, Debug, PartialEq)]
enum Range {
    All,
    BeginsWith(KeyValue),
    Between(KeyValue, KeyValue),
}

impl Query {
    /// All rows with that partition key.
    pub fn partition(value: impl Into<KeyValue>) -> Self {
        Query {
            partition: value.into(),
            range: Range::All,
            descending: false,
            limit: None,
        }
    }

    /// Of them those whose sort key begins so: a string, or bytes.
    #[must_use]
    pub fn begins_with(mut self, start: impl Into<KeyValue>) -> Self {
        self.range = Range::BeginsWith(start.into());
        self
    }

    /// Of them those whose sort key is between the two, both included.
    #[must_use]
    pub fn between(mut self, least: impl Into<KeyValue>, most: impl Into<KeyValue>) -> Self {
        self.range = Range::Between(least.into(), most.into());
        self
    }

    /// From the last sort key to the first.
    #[must_use]
    pub fn descending(mut self) -> Self {
        self.descending = true;
        self
    }

    /// The first so many, at least one. Without a limit all are read, page by page.
    #[must_use]
    pub fn limit(mut self, rows: usize) -> Self {
        self.limit = Some(rows.max(1));
        self
    }
}

impl<T: Into<KeyValue>> From<T> for Query {
    fn from(partition: T) -> Self {
        Query::partition(partition)
    }
}

/// Reads the rows of a Query, which are one value together.
///
/// That value's own end is the earliest of its rows' ends, so that per-item it is read again when
/// the first of them is over.
pub struct QueryLoader<K, T> {
    table: Table,
    query: Box<dyn Fn(&K) -> Query + Send + Sync>,
    consistent: bool,
    index: Option<(&'static str, TableKey)>,
    empty_is_absent: bool,
    /// Per-item a row past its end is none, though DynamoDB has not deleted it yet.
    ends_by: Option<Arc<dyn Clock>>,
    decodes: PhantomData<fn() -> T>,
}

impl<K, T: DeserializeOwned> QueryLoader<K, T> {
    /// Reads from `table` the rows that `query` names for a key of the cache.
    pub fn new<Q: Into<Query>>(
        table: &Table,
        query: impl Fn(&K) -> Q + Send + Sync + 'static,
    ) -> Self {
        QueryLoader {
            table: table.clone(),
            query: Box::new(move |key| query(key).into()),
            consistent: false,
            index: None,
            empty_is_absent: false,
            ends_by: None,
            decodes: PhantomData,
        }
    }

    /// Reads strongly consistently, at twice the price; a global secondary index cannot.
    #[must_use]
    pub fn consistent(mut self, consistent: bool) -> Self {
        self.consistent = consistent;
        self
    }

    /// Reads from an index of the table, which has a key of its own.
    #[must_use]
    pub fn index(mut self, name: &'static str, key: TableKey) -> Self {
        self.index = Some((name, key));
        self
    }

    /// No rows are an absence, with the absent TTL, rather than an empty list.
    #[must_use]
    pub fn empty_is_absent(mut self) -> Self {
        self.empty_is_absent = true;
        self
    }

    /// Leaves out rows that are past their end by this clock.
    #[must_use]
    pub fn without_ended(mut self, clock: Arc<dyn Clock>) -> Self {
        self.ends_by = Some(clock);
        self
    }

    async fn rows(
        &self,
        key: &K,
        until: &Deadline,
    ) -> Result<Option<Found<Arc<Vec<T>>>>, ReadError> {
        let query = (self.query)(key);
        let mut rows = Vec::new();
        let mut first_end: Option<u64> = None;
        let mut next_page = None;
        let is_full = |rows: &Vec<T>| query.limit.is_some_and(|limit| rows.len() >= limit);
        loop {
            let left = query.limit.map(|limit| limit - rows.len());
            // What is more than DynamoDB can count is no limit of a page.
            let page = left.and_then(|left| i32::try_from(left).ok());
            let request = self.request(&query)?.set_limit(page);
            let request = request.set_exclusive_start_key(next_page);
            let output = until.limit(request.send()).await;
            let output = output.ok_or(ReadError::Deadline)??;
            for item in output.items.unwrap_or_default() {
                let row = decode(item, self.table.end_attribute)?;
                if self.has_ended(row.expires_at) {
                    continue;
                }
                first_end = [first_end, row.expires_at].into_iter().flatten().min();
                rows.push(row.value);
            }
            next_page = output.last_evaluated_key;
            if next_page.is_none() || is_full(&rows) {
                break;
            }
        }
        if rows.is_empty() && self.empty_is_absent {
            return Ok(None);
        }
        Ok(Some(Found {
            value: Arc::new(rows),
            expires_at: first_end,
        }))
    }

    fn has_ended(&self, end: Option<u64>) -> bool {
        let Some((clock, end)) = self.ends_by.as_ref().zip(end) else {
            return false;
        };
        end <= clock.now().wall.as_secs()
    }

    fn request(&self, query: &Query) -> Result<QueryFluentBuilder, ReadError> {
        let (index, key) = match self.index {
            Some((name, key)) => (Some(name), key),
            None => (None, self.table.key),
        };
        let value = |value: &KeyValue| AttributeValue::from(value);
        let partition = key.names().next().unwrap_or_default();
        let mut request = self
            .table
            .client
            .query()
            .table_name(&self.table.name)
            .set_index_name(index.map(String::from))
            .consistent_read(self.consistent)
            .scan_index_forward(!query.descending)
            .expression_attribute_names("#p", partition)
            .expression_attribute_values(":p", value(&query.partition));
        let condition = match &query.range {
            Range::All => "#p = :p",
            Range::BeginsWith(start) => {
                request = request.expression_attribute_values(":a", value(start));
                "#p = :p AND begins_with(#s, :a)"
            }
            Range::Between(least, most) => {
                request = request
                    .expression_attribute_values(":a", value(least))
                    .expression_attribute_values(":b", value(most));
                "#p = :p AND #s BETWEEN :a AND :b"
            }
        };
        if query.range != Range::All {
            let sort = key.sort_name().ok_or(ReadError::Key(
                "what is queried has no sort key for a range",
            ))?;
            request = request.expression_attribute_names("#s", sort);
        }
        Ok(request.key_condition_expression(condition))
    }
}

impl<K: Key, T: DeserializeOwned + Send + Sync + 'static> Loader<K, Arc<Vec<T>>>
    for QueryLoader<K, T>
{
    type Error = ReadError;

    async fn load(
        &self,
        keys: Vec<K>,
        until: Deadline,
    ) -> Result<Loaded<K, Arc<Vec<T>>, ReadError>, ReadError> {
        let reads = join_all(keys.iter().map(|key| self.rows(key, &until))).await;
        let reads = reads
            .into_iter()
            .map(|read| read.map_err(ReadError::into_failure));
        Loaded::of_reads(keys.into_iter().zip(reads))
    }
}
