%% The design that Volley comes from: a chat server in Erlang on mochiweb, long polls, JSON bodies, a mailbox process for
%% each client, rooms in an ETS table. A publish is routed in the process of the publisher's connection, in one of two
%% ways: `naive` sends inside the routing loop; `list` prepares the list of PIDs first, raises its own priority and sends
%% in one shot. It speaks as much of Volley's protocol as the driver needs, and nothing else.
-module(chat_peer).
-export([main/0]).

-define(ROOMS, chat_rooms).
-define(CLIENTS, chat_clients).
%% As many as Volley keeps.
-define(MESSAGES_MAX, 2000).

main() ->
    [Variant] = init:get_plain_arguments(),
    Route = case Variant of
        "naive" -> fun naive/2;
        "list" -> fun list/2
    end,
    %% The tables belong to this process, which never ends.
    ets:new(?ROOMS, [bag, public, named_table, {read_concurrency, true}]),
    ets:new(?CLIENTS, [set, public, named_table, {read_concurrency, true}]),
    {ok, Pid} = mochiweb_http:start([
        {name, chat_peer_http},
        {ip, {127, 0, 0, 1}},
        {port, 0},
        %% mochiweb's own are 2,048 connections and a backlog of 128 (30 in its early days).
        {max, 1000000},
        {backlog, 4096},
        {nodelay, true},
        {loop, fun(Request) -> serve(Request, Route) end}
    ]),
    Port = mochiweb_socket_server:get(Pid, port),
    io:format("chat_peer ready listen=127.0.0.1:~w~n", [Port]),
    receive never -> ok end.

serve(Request, Route) ->
    case {mochiweb_request:get(method, Request), mochiweb_request:get(path, Request)} of
        {'GET', "/v1/poll"} -> poll(Request);
        {'POST', "/v1/sessions"} -> open(Request);
        {'POST', "/v1/topics/" ++ Rest} -> publish(Request, lists:takewhile(fun(C) -> C =/= $/ end, Rest), Route);
        _ -> answer(Request, 404, <<"{}">>)
    end.

open(Request) ->
    {struct, Body} = mochijson2:decode(mochiweb_request:recv_body(Request)),
    Rooms = proplists:get_value(<<"topics">>, Body, []),
    Token = binary:encode_hex(crypto:strong_rand_bytes(16)),
    Client = spawn(fun() -> mailbox(0, 0, [], none) end),
    ets:insert(?CLIENTS, {Token, Client}),
    %% What is asked of a member while an event is routed: is it muted?
    ets:insert(?CLIENTS, {Client, unmuted}),
    ets:insert(?ROOMS, [{Room, Client} || Room <- Rooms]),
    answer(Request, 201, mochijson2:encode({struct, [{session, Token}, {cursor, 0}]})).

%% -- a poll: the connection's process waits for its client's mailbox ---------------------------------------------------

poll(Request) ->
    Query = mochiweb_request:parse_qs(Request),
    Cursor = list_to_integer(proplists:get_value("cursor", Query, "0")),
    Wait = list_to_integer(proplists:get_value("wait", Query, "25")),
    Token = list_to_binary(mochiweb_request:get_header_value("Volley-Session", Request)),
    case ets:lookup(?CLIENTS, Token) of
        [{_, Client}] ->
            Reference = make_ref(),
            Client ! {poll, self(), Reference, Cursor},
            receive
                {messages, Reference, NewCursor, Messages} -> polled(Request, NewCursor, Messages)
            after Wait * 1000 ->
                Client ! {gone, Reference},
                %% It may have sent in the meantime.
                receive
                    {messages, Reference, NewCursor, Messages} -> polled(Request, NewCursor, Messages)
                after 0 -> polled(Request, Cursor, [])
                end
            end;
        [] ->
            answer(Request, 410, <<"{}">>)
    end.

polled(Request, Cursor, Messages) ->
    answer(Request, 200, [
        <<"{\"cursor\":">>, integer_to_list(Cursor), <<",\"messages\":[">>, lists:join($,, Messages), <<"]}">>
    ]).

%% The process that a PID in a room's list is. Numbers what comes, keeps it until a poll acknowledges it by its cursor,
%% and hands it to the poll that waits. Newest first; `Count` is the length of `Kept`.
mailbox(Newest, Count, Kept, Waiting) ->
    receive
        {message, Message} when Count < ?MESSAGES_MAX ->
            deliver(Newest + 1, Count + 1, [{Newest + 1, Message} | Kept], Waiting);
        {message, Message} ->
            deliver(Newest + 1, Count, [{Newest + 1, Message} | lists:droplast(Kept)], Waiting);
        {poll, Poll, Reference, Cursor} ->
            Newer = lists:takewhile(fun({Number, _}) -> Number > Cursor end, Kept),
            deliver(Newest, length(Newer), Newer, {Poll, Reference});
        {gone, Reference} ->
            case Waiting of
                {_, Reference} -> mailbox(Newest, Count, Kept, none);
                _ -> mailbox(Newest, Count, Kept, Waiting)
            end
    end.

deliver(Newest, Count, Kept, Waiting) when Kept =:= []; Waiting =:= none ->
    mailbox(Newest, Count, Kept, Waiting);
deliver(Newest, Count, Kept, {Poll, Reference}) ->
    Poll ! {messages, Reference, Newest, lists:reverse([Message || {_, Message} <- Kept])},
    mailbox(Newest, Count, Kept, none).

%% -- a publish -----------------------------------------------------------------------------------------------------------

publish(Request, Topic, Route) ->
    Data = mochijson2:decode(mochiweb_request:recv_body(Request)),
    Room = list_to_binary(Topic),
    Event = integer_to_binary(erlang:unique_integer([positive])),
    %% Encoded once for all: what is compared is the sending.
    Message = iolist_to_binary(
        mochijson2:encode({struct, [{topic, Room}, {from, <<>>}, {event, Event}, {data, Data}]})
    ),
    Recipients = Route(Room, Message),
    answer(Request, 200, mochijson2:encode({struct, [{event, Event}, {recipients, Recipients}]})).

naive(Room, Message) ->
    lists:foldl(fun({_, Client}, Count) ->
        case is_muted(Client) of
            true -> Count;
            false -> Client ! {message, Message}, Count + 1
        end
    end, 0, ets:lookup(?ROOMS, Room)).

list(Room, Message) ->
    Clients = [Client || {_, Client} <- ets:lookup(?ROOMS, Room), not is_muted(Client)],
    Before = process_flag(priority, high),
    lists:foreach(fun(Client) -> Client ! {message, Message} end, Clients),
    process_flag(priority, Before),
    length(Clients).

is_muted(Client) ->
    case ets:lookup(?CLIENTS, Client) of
        [{_, muted}] -> true;
        _ -> false
    end.

answer(Request, Status, Body) ->
    mochiweb_request:respond({Status, [{"Content-Type", "application/json"}, {"Cache-Control", "no-store"}], Body}, Request).
