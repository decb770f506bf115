"""The query language (decisions.md §2): parameters → one AST → SQL, for lists, records, aggregates and exports.

`vocabulary` is what a caller may say of a resource, `conditions` reads filters and groups, `parse` whole lists and
records, `aggregates` figures of groups, `cursors` positions; `build` and `keyset` turn the AST (`ast`) into SQL.

    status=pending&amount__gte=10&or=(side.eq.buy,client.city.eq.Haifa)      filters, through relations as well
    orders__isnull=true                                                      no such row behind the relation
    q=rosen&match="new house" -boat&order_by=-relevance                      words within words; full text
    include=client&include.client.fields=id,city                             related records inside each
    order_by=-created_at&limit=20&cursor=…&count=estimated&fields=id,status  the page
    group_by=status&metrics=count,sum(amount)&having=(count.gte.2)&bucket=month(created_at)&tz=Asia/Jerusalem

Filters through one relation that stand side by side are about the same related row; in `or` each is for itself.
"""
