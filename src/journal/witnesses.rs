//! What this node knows of its peers' trails.

use bzzz_actors::ports::journal::Witnessed;
use rusqlite::{Connection, Row, params};
use serde::de::DeserializeOwned;

/// In the place of what was known of the peer.
pub(super) fn keep(connection: &Connection, witnessed: &Witnessed) -> rusqlite::Result<()> {
    let text =
        |head| serde_json::to_string(head).map_err(|why| rusqlite::Error::ToSqlConversionFailure(why.into()));
    let head = text(&witnessed.head)?;
    let contradicted_by = witnessed.contradicted_by.as_ref().map(text).transpose()?;
    let upsert =
        "INSERT OR REPLACE INTO witnessed (peer, head, at_ms, contradicted_by) VALUES (?1, ?2, ?3, ?4)";
    connection.execute(
        upsert,
        params![witnessed.peer.to_string(), head, witnessed.at_ms.cast_signed(), contradicted_by],
    )?;
    Ok(())
}

pub(super) fn all(connection: &Connection) -> rusqlite::Result<Vec<Witnessed>> {
    let mut statement =
        connection.prepare("SELECT peer, head, at_ms, contradicted_by FROM witnessed ORDER BY peer")?;
    statement.query_map([], from_row)?.collect()
}

fn from_row(row: &Row<'_>) -> rusqlite::Result<Witnessed> {
    let peer: String = row.get(0)?;
    let contradicted_by: Option<String> = row.get(3)?;
    Ok(Witnessed {
        peer: peer.parse().map_err(|why| unreadable(0, why))?,
        head: read(1, &row.get::<_, String>(1)?)?,
        at_ms: row.get::<_, i64>(2)?.cast_unsigned(),
        contradicted_by: contradicted_by.map(|text| read(3, &text)).transpose()?,
    })
}

fn read<T: DeserializeOwned>(column: usize, text: &str) -> rusqlite::Result<T> {
    serde_json::from_str(text).map_err(|why| unreadable(column, why))
}

fn unreadable(column: usize, why: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(why))
}
