"""Asks a Postgres server by clients that no one here wrote: ask.py DRIVER, psycopg or jdbc.

Standard input: {"host", "port", "user", "password", "sslmode", "ask": [[sql, parameters or null, how], ...]},
how being "simple", "extended" (a prepared statement, as JDBC always has) or "cursor". All of it is asked on one
connection, each in a transaction of its own that ends with it. Prints a list of {"columns", "rows"} or
{"error", "sqlstate"}, with everything as text but null, numbers and booleans.
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


print(json.dumps({"psycopg": by_psycopg, "jdbc": by_jdbc}[sys.argv[1]](json.load(sys.stdin))))
