"""What DuckDB and deltalake find in a table of the lake: JSON, one object a reader.

    read.py TABLE_FOLDER NUMBER_COLUMN...

deltalake reads the table by its log. DuckDB's own reader of Delta is an extension that cannot be
had from PyPI: it gets the list of files from deltalake, as any engine without a Delta reader would.
"""
import json
import sys

import duckdb
from deltalake import DeltaTable

folder, columns = sys.argv[1], sys.argv[2:]
table = DeltaTable(folder)
connection = duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
of_deltalake = table.to_pyarrow_table()
files = table.file_uris()
of_files = f"read_parquet({files!r}, hive_partitioning = true, union_by_name = true)"
answers = {}
for reader, source in (("deltalake", "of_deltalake"), ("duckdb", of_files)):
    sums = ", ".join(f"sum({c}), count({c}), min({c}), max({c})" for c in columns)
    query = f"""
        SELECT count(*), count(DISTINCT vehicle_id), sum(sequence), epoch_us(min(ts)), epoch_us(max(ts)),
               count(DISTINCT date), {sums}
        FROM {source}"""
    answers[reader] = [float(value) for value in connection.execute(query).fetchone()]
print(json.dumps(answers))
