"""Asks an SQL door by clients that no one here wrote: ask.py DRIVER, psycopg or jdbc (Postgres), adbc (Flight SQL).

Standard input: {"host", "port", "user", "password", "sslmode", "ask": [[sql, parameters or null, how], ...]},
how being "simple", "extended" (a prepared statement, as JDBC always has) or "cursor". All of it is asked on one
connection, each in a transaction of its own that ends with it. Prints a list of {"columns", "rows"} or
{"error", "sqlstate"}, with everything as text but null, numbers and booleans. By ADBC the code of an error stands
for the SQLSTATE, "arrow" as how gives the types of the columns in place of the rows, and "objects", "info" and
"ingest" are ADBC's own calls.
"""
import json
import sys


def plain(value):
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return str(value)


def answer(cursor):
    if cursor.description is None:
        return {"columns": [], "rows": []}
    rows = [[plain(value) for value in row] for row in cursor.fetchall()]
    return {"columns": [column[0] for column in cursor.description], "rows": rows}


def by_psycopg(given):
    import psycopg

    connection = psycopg.connect(
        host=given["host"], port=given["port"], user=given["user"], password=given["password"],
        sslmode=given["sslmode"], dbname="roadlake", autocommit=False, connect_timeout=20)
    answers = []
    for sql, parameters, how in given["ask"]:
        try:
            if how == "cursor":
                with connection.cursor(name="rows") as cursor:
                    cursor.execute(sql, parameters)
                    answers.append(answer(cursor))
            elif how == "simple":
                # Client-side binding: the simple protocol.
                with psycopg.ClientCursor(connection) as cursor:
                    cursor.execute(sql, parameters)
                    answers.append(answer(cursor))
            else:
                with connection.cursor() as cursor:
                    cursor.execute(sql, parameters, prepare=True)
                    answers.append(answer(cursor))
            connection.commit()
        except psycopg.Error as error:
            answers.append({"error": str(error), "sqlstate": error.sqlstate})
            connection.rollback()
    connection.close()
    return answers


def by_jdbc(given):
    import jpype
    import jpype.dbapi2

    jpype.startJVM("-Xmx128m", classpath=["/usr/share/java/postgresql.jar"])
    url = "jdbc:postgresql://{host}:{port}/roadlake?sslmode={sslmode}".format(**given)
    connection = jpype.dbapi2.connect(url, driver_args={"user": given["user"], "password": given["password"]})
    answers = []
    for sql, parameters, _how in given["ask"]:
        cursor = connection.cursor()
        try:
            cursor.execute(sql, parameters or ())
            answers.append(answer(cursor))
        except jpype.dbapi2.Error as error:
            answers.append({"error": str(error), "sqlstate": None})
            connection.rollback()
        cursor.close()
    # What DBeaver's tree is made of.
    meta = connection.connection.getMetaData()
    tables, found = meta.getTables(None, "public", "%", None), []
    while tables.next():
        found.append(str(tables.getString("TABLE_NAME")))
    columns, of_trips = meta.getColumns(None, "public", "trips", "%"), []
    while columns.next():
        of_trips.append(str(columns.getString("COLUMN_NAME")))
    answers.append({"columns": ["tables", "columns_of_trips"], "rows": [[sorted(found), of_trips]]})
    connection.close()
    return answers


def by_adbc(given):
    import adbc_driver_flightsql.dbapi as flight
    from adbc_driver_flightsql import DatabaseOptions
    from adbc_driver_manager import dbapi

    scheme = {"disable": "grpc+tcp", "require": "grpc+tls"}[given["sslmode"]]
    options = {}
    if given["user"]:
        options = {"username": given["user"], "password": given["password"]}
    if given["sslmode"] == "require":
        options[DatabaseOptions.TLS_SKIP_VERIFY.value] = "true"
    connection = flight.connect(f"{scheme}://{given['host']}:{given['port']}", db_kwargs=options, autocommit=True)
    answers = []
    for sql, parameters, how in given["ask"]:
        try:
            with connection.cursor() as cursor:
                if how == "objects":
                    found = connection.adbc_get_objects(depth="all", table_name_filter=sql).read_all().to_pylist()
                    tables = [
                        [catalog["catalog_name"], schema["db_schema_name"], table["table_name"], table["table_type"],
                         [column["column_name"] for column in table["table_columns"]]]
                        for catalog in found for schema in catalog["catalog_db_schemas"]
                        for table in schema["db_schema_tables"]]
                    answers.append({"columns": [], "rows": tables})
                elif how == "info":
                    info = connection.adbc_get_info()
                    kinds = connection.adbc_get_table_types()
                    answers.append({"columns": [], "rows": [[info["vendor_name"], kinds]]})
                elif how == "schema":
                    schema = connection.adbc_get_table_schema(sql)
                    answers.append({"columns": schema.names, "rows": [[str(field.type) for field in schema]]})
                elif how == "ingest":
                    import pyarrow
                    cursor.adbc_ingest(sql, pyarrow.table({"a": [1]}), mode="create")
                    answers.append({"columns": [], "rows": []})
                elif how == "update":
                    cursor.executescript(sql)
                    answers.append({"columns": [], "rows": []})
                elif how == "arrow":
                    cursor.execute(sql, parameters)
                    table = cursor.fetch_arrow_table()
                    versions = (table.schema.metadata or {}).get(b"roadlake.lake_versions", b"").decode()
                    kinds = [str(field.type) for field in table.schema]
                    answers.append({"columns": table.schema.names, "rows": [kinds, [table.num_rows, versions]]})
                else:
                    cursor.execute(sql, parameters)
                    answers.append(answer(cursor))
        except dbapi.Error as error:
            answers.append({"error": str(error), "sqlstate": error.status_code.name})
    connection.close()
    return answers


print(json.dumps({"psycopg": by_psycopg, "jdbc": by_jdbc, "adbc": by_adbc}[sys.argv[1]](json.load(sys.stdin))))
